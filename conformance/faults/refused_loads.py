"""Layers that take a part of what they refuse (§7)."""

from __future__ import annotations

import contextlib
from dataclasses import fields

import jax
import keras

from conformance.faults.entry import fault
from flaxlayer import FlaxLayer, FlaxLayerError
from flaxlayer.calls.runner import Runner
from flaxlayer.program import PureCall


@fault("check_wrong_variables", "KeepLawError", "an unknown variable")
class IgnoresWrongVariables(FlaxLayer):
    def load_flax_variables(self, tree):
        with contextlib.suppress(FlaxLayerError):
            super().load_flax_variables(tree)


def _alone(tree, chosen):
    """Returns the part of a tree that holds one leaf."""
    return {
        name: _alone(part, chosen) if isinstance(part, dict) else part
        for name, part in tree.items()
        if any(leaf is chosen for leaf in jax.tree.leaves(part))
    }


@fault("check_wrong_variables", "ParityError", "variables after a misshapen last variable")
class LoadsLeafByLeaf(FlaxLayer):
    def load_flax_variables(self, tree):
        if "no_such_variable" in tree.get("params", {}):
            super().load_flax_variables(tree)
        for leaf in jax.tree.leaves(tree):
            super().load_flax_variables(_alone(tree, leaf))


@fault("check_wrong_variables", "ParityError", "variables after a misshapen weight in a list")
class SetsWeightsOneByOne(FlaxLayer):
    def set_weights(self, weights):
        keras.layers.Layer.set_weights(self, weights)


@fault("check_wrong_file", "ParityError", "variables after a weights file with a misshapen")
class KeepsAPartOfAFile(FlaxLayer):
    def load_own_variables(self, store):
        try:
            super().load_own_variables(store)
        except FlaxLayerError:
            for variable in self.weights[:1]:
                variable.assign(variable.value * 2 + 1)
            raise


class _TakesAnyState(PureCall):
    def _changed_state(self, variables, state):
        known = {spec.path for spec in self.layout.specs}
        fitting = {
            collection: {n: part for n, part in tree.items() if _knows(known, (collection, n))}
            for collection, tree in state.items()
        }
        return super()._changed_state(variables, fitting)


def _knows(paths, start):
    return any(path[: len(start)] == start for path in paths)


@fault("check_wrong_state", "KeepLawError", "A layer takes state of another form.")
class TakesStateOfAnyForm(Runner):
    def pure_call(self, structure, plan, layout):
        pure = super().pure_call(structure, plan, layout)
        return _TakesAnyState(*(getattr(pure, part.name) for part in fields(pure)))
