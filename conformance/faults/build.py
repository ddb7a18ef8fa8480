"""Layers that are built in a wrong way (§6), or store what they should not (§3)."""

from __future__ import annotations

import jax
import keras

from conformance.faults.entry import fault
from flaxlayer import FlaxLayer


@fault("check_build_paths", "KeepLawError", "do not stand at the paths")
class NamesWeightsByNumber(FlaxLayer):
    def _create(self, *inputs):
        super()._create(*inputs)
        for number, variable in enumerate(self._flax_weights.variables):
            variable._path = f"{self.name}/variable_{number}"


@fault("check_build_dtypes", "KeepLawError", "is not stored as it should be", budget=200)
class CastsParamsToFloat32(FlaxLayer):
    def _create(self, *inputs):
        self._explicit_dtype = True
        super()._create(*inputs)
        self._explicit_dtype = False


@fault("check_build_values", "ParityError", "initial variables")
class InitialisesWithAnotherSeed(FlaxLayer):
    def _create(self, *inputs):
        self._seed += 1
        super()._create(*inputs)
        self._seed -= 1


@fault("check_symbolic_shapes", "KeepLawError", "outputs of a symbolic call", budget=200)
class PromisesFloat32(FlaxLayer):
    def compute_output_spec(self, *args, **kwargs):
        outputs = super().compute_output_spec(*args, **kwargs)
        return jax.tree.map(lambda t: keras.KerasTensor(t.shape, "float32"), outputs)
