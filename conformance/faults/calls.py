"""Layers whose calls are wrong: outputs, sown values, losses, methods, masks (§5)."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from conformance.faults.entry import fault
from conformance.faults.parts import FaultyRunner, rounded
from flaxlayer import FlaxLayer
from flaxlayer.calls.runner import Runner
from flaxlayer.compat.private_keras import in_stateless_scope
from flaxlayer.hosted import HostedModule


@fault("check_inference", "ParityError", "outputs in inference")
class AlwaysTrains(FaultyRunner):
    def execute(self, arrays, structure, training):
        return super().execute(arrays, structure, True)


@fault("check_training", "ParityError", "outputs in training")
class IgnoresTheTrainingFlag(FaultyRunner):
    def execute(self, arrays, structure, training):
        return super().execute(arrays, structure, False)


@fault("check_sown", "ParityError", "sown in")
class ForgetsSownValues(FlaxLayer):
    @property
    def sown(self):
        return {}


@fault("check_losses", "ParityError", "added losses differs in value")
class AddsNoLosses(Runner):
    def pure_call(self, structure, plan, layout):
        return replace(super().pure_call(structure, plan, layout), losses=())


def _real(tree):
    return all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(tree))


@fault("check_returned_sown", "ParityError", "outputs and sown values")
class ReturnsZerosForSownValues(Runner):
    def with_sown(self, result):
        if _real(result.transient):
            result = replace(result, transient=jax.tree.map(jnp.zeros_like, result.transient))
        return super().with_sown(result)


@fault("check_stateless_call", "ParityError", "state of stateless_call in training")
class KeepsNoStateInsideATrace(HostedModule):
    def writable(self, changed, training):
        return [] if in_stateless_scope() else super().writable(changed, training)


@fault("check_op_by_op", "ParityError", "outputs op by op")
class StaysCompiledUnderDisableJit(FaultyRunner):
    def execute(self, arrays, structure, training):
        with jax.disable_jit(False):
            return super().execute(arrays, structure, training)


@fault("check_methods", "KeepLawError", "does not have the weights of its source")
class CopiesItsWeightsForMethods(FlaxLayer):
    def method(self, method, **kwargs):
        twin = FlaxLayer(self.module, seed=self._hosted.seed)
        twin.build_from_config(self.get_build_config())
        return twin.method(method, **kwargs)


@fault("check_masks", "KeepLawError", "The mask does not travel on to the next layer.")
class KeepsTheMask(FlaxLayer):
    def compute_mask(self, inputs, previous_mask=None):
        return None


@fault("check_masks", "ParityError", "outputs behind a mask", budget=200)
class GivesNoMask(FlaxLayer):
    def __init__(self, module, **kwargs):
        super().__init__(module, **{**kwargs, "mask_arg": None})


@fault("check_stateless_call", "ParityError", "outputs of stateless_call in")
class RoundsInStatelessCalls(FaultyRunner):
    def execute(self, arrays, structure, training):
        if in_stateless_scope():
            arrays = [rounded(array) for array in arrays]
        return super().execute(arrays, structure, training)


@fault("check_stateless_call", "ParityError", "variables left alone")
class WritesInStatelessCalls(FlaxLayer):
    def stateless_call(self, *args, **kwargs):
        result = super().stateless_call(*args, **kwargs)
        with jax.ensure_compile_time_eval():  # no value of the trace escapes
            for variable in self.weights:
                variable.assign(np.ones(variable.shape, variable.dtype))
        return result
