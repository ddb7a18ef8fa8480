"""Layers that learn wrongly (§9)."""

from __future__ import annotations

from dataclasses import replace

import jax

from conformance.faults.entry import fault
from flaxlayer import FlaxLayer
from flaxlayer_core import trace_state_clean


@fault("check_gradients", "ParityError", "gradients of inputs")
class StopsGradientsOfInputs(FlaxLayer):
    def _run(self, arrays, structure, training, clean):
        arrays = arrays if clean else [jax.lax.stop_gradient(array) for array in arrays]
        return super()._run(arrays, structure, training, clean)


@fault("check_train_step", "ParityError", "variables after three steps")
class ForgetsToTrainAWeight(FlaxLayer):
    def _create(self, *inputs):
        super()._create(*inputs)
        for variable in self.trainable_variables[-1:]:
            variable.trainable = False


@fault("check_fit", "KeepLawError", "Two training calls draw the same key")
class ReusesTheFirstKeyInFit(FlaxLayer):
    def _commit(self, outcome, training):
        kept = outcome if trace_state_clean() else replace(outcome, seed=None)
        super()._commit(kept, training)
