"""What a layer keeps between calls, and how arrays and outputs are described to Keras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from flaxlayer.compat import private_keras as compat
from flaxlayer.inputs import BuildInputs
from flaxlayer.program import PureCall
from flaxlayer.recently_used import RecentlyUsed
from flaxlayer_core import ArgumentStructure, ArraySpec, MaskPlan, ModuleSpec

__all__ = [
    "CallCache",
]


class CallCache:
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
        self.discoveries: RecentlyUsed[ArgumentStructure, ModuleSpec] = RecentlyUsed()
        self.fixed: RecentlyUsed[ArgumentStructure, bool] = RecentlyUsed()
        self.output_forms: RecentlyUsed[Any, Any] = RecentlyUsed()
        self.latest: ModuleSpec | None = None
        self.programs: RecentlyUsed[Any, PureCall] = RecentlyUsed()
        self.sown: dict[str, Any] = {}
        self.inputs: BuildInputs | None = None
        self.mask_plans: RecentlyUsed[Any, MaskPlan] = RecentlyUsed()
        self.open_inputs: list[Any] = []

    def take(self, inputs: BuildInputs) -> None:
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
