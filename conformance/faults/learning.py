"""Layers that learn wrongly (§9)."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import keras

from conformance.faults.entry import fault
from conformance.faults.parts import FaultyRunner
from flaxlayer.building import LayerBuilder
from flaxlayer.calls.runner import Runner
from flaxlayer.weights.variables import FlaxWeights
from flaxlayer_core import trace_state_clean


@fault("check_gradients", "ParityError", "gradients of inputs")
class StopsGradientsOfInputs(FaultyRunner):
    def execute(self, arrays, structure, training):
        if not self.backend.is_outermost():
            arrays = [jax.lax.stop_gradient(array) for array in arrays]
        return super().execute(arrays, structure, training)


@fault("check_train_step", "ParityError", "variables after three steps")
class ForgetsToTrainAWeight(LayerBuilder):
    def create(self, *inputs):
        super().create(*inputs)
        for variable in self._layer.trainable_variables[-1:]:
            variable.trainable = False


@fault("check_fit", "KeepLawError", "of fit does not use the keys of its seed")
class ReusesTheFirstKeyInFit(Runner):
    def commit(self, result, training):
        kept = result if trace_state_clean() else replace(result, seed=None)
        super().commit(kept, training)


class _HalfGradients(FlaxWeights):
    def values(self):
        values = super().values()
        if trace_state_clean():
            return values
        floating = [jnp.issubdtype(value.dtype, jnp.inexact) for value in values]
        pairs = zip(values, floating, strict=True)
        return [(v + jax.lax.stop_gradient(v)) / 2 if f else v for v, f in pairs]


@fault("check_gradients", "ParityError", "gradients/params/")
class HalvesGradients(LayerBuilder):
    def create(self, *inputs):
        super().create(*inputs)
        weights = self._hosted.weights
        self._hosted.weights = _HalfGradients(weights.layout, weights.variables)


@fault("check_fit", "ParityError", "variables after three steps of fit")
class ConstrainsItsWeights(LayerBuilder):
    def create(self, *inputs):
        super().create(*inputs)
        for variable in self._layer.trainable_variables:
            variable.constraint = keras.constraints.NonNeg()
