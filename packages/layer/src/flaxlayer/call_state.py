"""What a layer keeps between calls, and how arrays and outputs are described to Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import keras
import numpy as np

from flaxlayer import compat
from flaxlayer.backends import current_backend
from flaxlayer.backends.dtypes import number_spec
from flaxlayer.execution import Program
from flaxlayer.recent import RecentlyUsed
from flaxlayer.storing import CallInputs
from flaxlayer_core import ArgumentStructure, ArraySpec, Discovery, MaskPlan, is_array

__all__ = ["CallState", "array_specs", "arrays_of", "constant", "keras_tensor"]


def array_specs(arrays: Sequence[Any]) -> list[ArraySpec]:
    """Describes arrays, Keras tensors or `ShapeDtypeStruct` as build and discovery take them."""
    describe = current_backend().describe
    return [
        number_spec(array) if type(array) in (float, complex) else describe(array)
        for array in arrays
    ]


def constant(array: Any) -> Any:
    """Returns a value, such as the data of a key, as Keras can store it in a model."""
    if isinstance(array, jax.core.Tracer):
        return array
    # What JAX holds means nothing to TensorFlow, and Keras stores a scalar of NumPy without dtype.
    scalar = isinstance(array, np.ndarray | np.generic) and array.ndim == 0
    return keras.ops.convert_to_tensor(array) if scalar or isinstance(array, jax.Array) else array


def keras_tensor(spec: Any) -> Any:
    """Returns a Keras tensor for an `ArraySpec`, anything else as it is."""
    return keras.KerasTensor(spec.shape, spec.dtype) if isinstance(spec, ArraySpec) else spec


def arrays_of(outputs: Any) -> list[Any]:
    """Returns the arrays of any pytree of outputs."""
    return [leaf for leaf in jax.tree_util.tree_leaves(outputs) if is_array(leaf)]


class CallState:
    """What a layer keeps between calls that is neither weight nor configuration.

    Attributes:
        discoveries: What was found for each static structure of arguments.
        fixed: Structures whose numbers of Python the module cannot be traced with.
        programs: The calls that run compiled, by what makes two calls need different code.
        sown: Transient collections of the last eager call.
        output_forms: The `OutputForm` of each symbolic call.
        latest: The discovery of the latest call.
        inputs: The inputs that the layer was built with.
        mask_plans: What becomes of masks, by the form of the call that has them (A4).
        open_inputs: The input layers that get the dtype of the first call (A10).
    """

    def __init__(self) -> None:
        self.discoveries: RecentlyUsed[ArgumentStructure, Discovery] = RecentlyUsed()
        self.fixed: RecentlyUsed[ArgumentStructure, bool] = RecentlyUsed()
        self.output_forms: RecentlyUsed[Any, Any] = RecentlyUsed()
        self.latest: Discovery | None = None
        self.programs: RecentlyUsed[Any, Program] = RecentlyUsed()
        self.sown: dict[str, Any] = {}
        self.inputs: CallInputs | None = None
        self.mask_plans: RecentlyUsed[Any, MaskPlan] = RecentlyUsed()
        self.open_inputs: list[Any] = []

    def take(self, inputs: CallInputs) -> None:
        """Keeps the inputs that the layer was built with, without their values."""
        self.inputs = inputs.without_values()
        if not inputs.guessed:
            for layer in self.open_inputs:
                compat.close_input(layer, inputs.dtypes[:1])
            self.open_inputs.clear()

    def open_to(self, layers: Sequence[Any]) -> bool:
        """Waits for the first call to say the dtypes of input layers; tells if there are any."""
        self.open_inputs += layers
        return bool(layers)

    def meant(self, specs: Sequence[ArraySpec]) -> Sequence[ArraySpec]:
        """Returns arrays with the dtypes that were supposed for them (A10)."""
        known = self.inputs
        if known is None or not known.guessed or len(known.specs) != len(specs):
            return specs
        floatx = np.dtype(keras.config.floatx())
        return [
            ArraySpec(spec.shape, dtype if spec.dtype == floatx else spec.dtype)
            for spec, dtype in zip(specs, known.dtypes, strict=True)
        ]

    @property
    def guessed(self) -> bool:
        """Whether the dtypes of `inputs` are only supposed (A10)."""
        return self.inputs is not None and self.inputs.guessed

    @property
    def settled(self) -> bool:
        """Whether the layer is built, and nothing of it was only supposed."""
        return self.inputs is not None and not self.inputs.guessed

    def forget(self) -> None:
        """Forgets what was found for the calls of a layer that is built anew."""
        self.discoveries = RecentlyUsed()
        self.fixed = RecentlyUsed()
        self.output_forms = RecentlyUsed()
        self.programs = RecentlyUsed()
        self.mask_plans = RecentlyUsed()
        self.latest = None
