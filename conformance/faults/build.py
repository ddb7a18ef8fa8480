"""Layers that are built in a wrong way (§6), or store what they should not (§3)."""

from __future__ import annotations

import jax
import keras

from conformance.faults.entry import fault
from flaxlayer import FlaxLayer
from flaxlayer.building import LayerBuilder


@fault("check_build_paths", "KeepLawError", "do not stand at the paths")
class NamesWeightsByNumber(LayerBuilder):
    def create(self, *inputs):
        super().create(*inputs)
        for number, variable in enumerate(self._hosted.weights.variables):
            variable._path = f"{self._layer.name}/variable_{number}"


@fault("check_build_dtypes", "KeepLawError", "is not stored as it should be", budget=200)
class CastsParamsToFloat32(LayerBuilder):
    def create(self, *inputs):
        self._hosted.has_own_dtype = True
        super().create(*inputs)
        self._hosted.has_own_dtype = False


@fault("check_build_values", "ParityError", "initial variables")
class InitialisesWithAnotherSeed(LayerBuilder):
    def create(self, *inputs):
        self._hosted.seed += 1
        super().create(*inputs)
        self._hosted.seed -= 1


@fault(
    "check_symbolic_shapes",
    "KeepLawError",
    "a symbolic call have other forms",
    budget=200,
)
class PromisesFloat32(FlaxLayer):
    def compute_output_spec(self, *args, **kwargs):
        outputs = super().compute_output_spec(*args, **kwargs)
        return jax.tree.map(lambda t: keras.KerasTensor(t.shape, "float32"), outputs)


@fault("check_symbolic_shapes", "KeepLawError", "a symbolic call have other forms")
class PromisesUnknownSizes(FlaxLayer):
    def compute_output_spec(self, *args, **kwargs):
        outputs = super().compute_output_spec(*args, **kwargs)
        return jax.tree.map(lambda t: keras.KerasTensor((None,) * t.ndim, t.dtype), outputs)


@fault("check_symbolic_shapes", "KeepLawError", "have another structure than those of raw Flax")
class PromisesAList(FlaxLayer):
    def compute_output_spec(self, *args, **kwargs):
        return [super().compute_output_spec(*args, **kwargs)]
