"""Layers whose weights are not where or what they should be (§7)."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp

from conformance.faults.entry import fault
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


class _Swapped(FlaxWeights):
    def values(self):
        values = super().values()
        for a, b in itertools.combinations(range(len(values)), 2):
            if (values[a].shape, values[a].dtype) == (values[b].shape, values[b].dtype):
                values[a], values[b] = values[b], values[a]
                break
        return values


@fault("check_weight_values", "ParityError", "weights by path")
class SwapsTwoEqualShapedWeights(LayerBuilder):
    def create(self, *inputs):
        super().create(*inputs)
        weights = self._hosted.weights
        self._hosted.weights = _Swapped(weights.layout, weights.variables)


@fault("check_method_variables", "ParityError", "on given variables")
class StartsAnewForAMethod(FlaxLayer):
    def __init__(self, module, method=None, variables=None, **settings):
        super().__init__(module, method, None if method else variables, **settings)
