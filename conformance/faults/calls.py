"""Layers whose calls are wrong: outputs, sown values, losses, methods, masks (§5)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from conformance.faults.entry import fault
from flaxlayer import FlaxLayer
from flaxlayer.compat.private_keras import in_stateless_scope


@fault("check_inference", "ParityError", "outputs in inference")
class AlwaysTrains(FlaxLayer):
    def _execute(self, arrays, structure, training):
        return super()._execute(arrays, structure, True)


@fault("check_training", "ParityError", "outputs in training")
class IgnoresTheTrainingFlag(FlaxLayer):
    def _execute(self, arrays, structure, training):
        return super()._execute(arrays, structure, False)


@fault("check_sown", "ParityError", "sown in")
class ForgetsSownValues(FlaxLayer):
    @property
    def sown(self):
        return {}


@fault("check_losses", "ParityError", "added losses differs in value")
class AddsNoLosses(FlaxLayer):
    @property
    def losses_collections(self):
        return ()


def _real(tree):
    return all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(tree))


@fault("check_returned_sown", "ParityError", "outputs and sown values")
class ReturnsZerosForSownValues(FlaxLayer):
    def _with_sown(self, outputs, transient):
        zeros = jax.tree.map(jnp.zeros_like, transient) if _real(transient) else transient
        return super()._with_sown(outputs, zeros)


@fault("check_stateless_call", "ParityError", "state of stateless_call in training")
class KeepsNoStateInsideATrace(FlaxLayer):
    def writable(self, changed, training):
        return [] if in_stateless_scope() else super().writable(changed, training)


@fault("check_op_by_op", "ParityError", "outputs op by op")
class StaysCompiledUnderDisableJit(FlaxLayer):
    def _run(self, arrays, structure, training, clean):
        with jax.disable_jit(False):
            return super()._run(arrays, structure, training, clean)


@fault("check_methods", "KeepLawError", "does not have the weights of its source")
class CopiesItsWeightsForMethods(FlaxLayer):
    def method(self, method, **kwargs):
        twin = FlaxLayer(self.module, seed=self._seed)
        twin.build_from_config(self.get_build_config())
        return twin.method(method, **kwargs)


@fault("check_masks", "KeepLawError", "mask does not travel on")
class KeepsTheMask(FlaxLayer):
    def compute_mask(self, inputs, previous_mask=None):
        return None
