"""Layers whose weights are not where or what they should be (§7)."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp

from conformance.faults.entry import fault
from conformance.faults.parts import MayRound
from flaxlayer import FlaxLayer
from flaxlayer.building import LayerBuilder
from flaxlayer.weights.variables import FlaxWeights


@fault("check_variables_tree", "ParityError", "variables loaded")
class LoadsParamsOnly(FlaxLayer):
    def load_flax_variables(self, tree):
        super().load_flax_variables({"params": tree.get("params", {})})


@fault("check_given_variables", "ParityError", "variables given")
class IgnoresGivenVariables(FlaxLayer):
    def __init__(self, module, variables=None, **kwargs):
        super().__init__(module, **kwargs)


@fault("check_bound_module", "ParityError", "variables of the bound module")
class BindsZeros(FlaxLayer):
    def to_module(self):
        module, variables = super().to_module().unbind()
        return module.bind(jax.tree.map(jnp.zeros_like, variables))


def _swapped(values):
    """Returns values with two of one shape and dtype in each other's place."""
    for a, b in itertools.combinations(range(len(values)), 2):
        if (values[a].shape, values[a].dtype) == (values[b].shape, values[b].dtype):
            values[a], values[b] = values[b], values[a]
            break
    return values


class _Swapped(FlaxWeights):
    def values(self):
        return _swapped(super().values())


@fault("check_weight_values", "ParityError", "variables by path")
class SwapsTwoEqualShapedWeights(LayerBuilder):
    def create(self, *inputs):
        super().create(*inputs)
        weights = self._hosted.weights
        self._hosted.weights = _Swapped(weights.layout, weights.variables)


@fault("check_weight_values", "ParityError", "weights by path")
class LoadsTwoEqualShapedWeightsSwapped(FlaxLayer):
    def load_flax_variables(self, tree):
        leaves, treedef = jax.tree.flatten(tree)
        super().load_flax_variables(jax.tree.unflatten(treedef, _swapped(leaves)))


@fault("check_method_variables", "ParityError", "variables of the method")
class StartsAnewForAMethod(FlaxLayer):
    def __init__(self, module, method=None, variables=None, **settings):
        super().__init__(module, method, None if method else variables, **settings)


@fault("check_variables_tree", "ParityError", "variables after their tree was emptied")
class HandsOutItsOwnTree(FlaxLayer):
    handed = None

    def flax_variables(self):
        if self.handed is None:
            object.__setattr__(self, "handed", super().flax_variables())
        return self.handed

    def load_flax_variables(self, tree):
        super().load_flax_variables(tree)
        object.__setattr__(self, "handed", None)


@fault("check_variables_tree", "ParityError", "outputs with loaded variables")
class RoundsWithLoadedVariables(FlaxLayer):
    _runner_class = MayRound

    def load_flax_variables(self, tree):
        super().load_flax_variables(tree)
        self._runner.rounds = True


@fault("check_weight_trees", "KeepLawError", "The tree `state` of a layer does not hold its")
class HasNoTreeOfState(FlaxLayer):
    @property
    def state(self):
        return {}


@fault("check_given_variables", "ParityError", "variables given in part")
class ZeroesWhatIsMissing(LayerBuilder):
    def create(self, *inputs):
        given = self._hosted.settings.variables
        super().create(*inputs)
        weights = self._hosted.weights
        if given is not None and len(jax.tree.leaves(given)) < len(weights.variables):
            for variable in weights.variables:
                variable.assign(variable.value * 0)
