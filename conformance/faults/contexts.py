"""Layers that run a program that was compiled for another context or static argument (§5)."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from conformance.faults.entry import fault
from conformance.faults.parts import FaultyRunner
from flaxlayer.calls.runner import Runner


@fault("check_contexts", "KeepLawError", "runs what was compiled for another context")
class ForgetsTheContext(Runner):
    def key(self, structure, training, context):
        return structure, training, self.hosted.compute_dtype


@fault("check_static_arguments", "KeepLawError", "runs what was compiled for another")
class ForgetsStaticArguments(Runner):
    def key(self, structure, training, context):
        return super().key(structure.treedef, training, context)


@fault("check_static_arguments", "ParityError", "a half scaled by a float of Python")
class TakesNumbersForArrays(FaultyRunner):
    def execute(self, arrays, structure, training):
        arrays = [np.float32(array) if type(array) is float else array for array in arrays]
        return super().execute(arrays, structure, training)


@fault("check_masked_statics", "ParityError", "outputs behind a mask beside", budget=200)
class LosesMasksBesideStaticArguments(FaultyRunner):
    def execute(self, arrays, structure, training):
        if structure.statics:
            arrays = [jnp.ones_like(a) if a.dtype == bool else a for a in arrays]
        return super().execute(arrays, structure, training)
