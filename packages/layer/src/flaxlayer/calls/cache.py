"""What a layer keeps between calls that is neither weight nor configuration (A1, A6)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from flaxlayer.backends import Run
from flaxlayer.calls.output_forms import OutputForm
from flaxlayer.compat.keras_sequential import close_input
from flaxlayer.inputs import BuildInputs
from flaxlayer.program import PureCall
from flaxlayer.recently_used import RecentlyUsed
from flaxlayer_core import ArgumentStructure, ArraySpec, MaskPlan, ModuleSpec

__all__ = ["CallCache", "CompiledCall"]


@dataclass(frozen=True, eq=False)
class CompiledCall:
    """A call that runs compiled.

    Attributes:
        spec: What is known of calls of this structure.
        pure: The call as a pure function.
        run: The same, compiled for the backend.
    """

    spec: ModuleSpec
    pure: PureCall
    run: Run


class CallCache:
    """What was found and compiled for calls, the last ones used, and what the layer was built for.

    Attributes:
        specs: What was found for each static structure of arguments.
        fixed: Structures whose numbers of Python the module cannot be traced with.
        calls: The calls that run compiled, by what makes two calls need different code.
        eager: The same for eager calls on plain arrays, by what tells those from each other.
        sown: Transient collections of the last eager call.
        output_forms: The `OutputForm` of each symbolic call.
        latest: What is known of the latest call.
        inputs: The inputs that the layer was built with.
        mask_plans: What becomes of masks, by the form of the call that has them (A4).
        open_inputs: The input layers that get the dtype of the first call (A10).
        settled: Whether the layer is built, and nothing of it was only supposed.
    """

    def __init__(self) -> None:
        self.sown: dict[str, bool | None] = {}
        self.inputs: BuildInputs | None = None
        self.open_inputs: list[keras.layers.InputLayer] = []
        self.settled = False
        self.forget()

    def take(self, inputs: BuildInputs) -> None:
        """Keeps the inputs that the layer was built with, without their values."""
        self.inputs = inputs.without_values()
        self.settled = not inputs.guessed
        if self.settled:
            for layer in self.open_inputs:
                close_input(layer, inputs.dtypes[:1])
            self.open_inputs.clear()

    def open_to(self, layers: Sequence[keras.layers.InputLayer]) -> bool:
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

    def forget(self) -> None:
        """Forgets what was found for the calls of a layer that is built anew."""
        self.specs: RecentlyUsed[ArgumentStructure, ModuleSpec] = RecentlyUsed()
        self.fixed: RecentlyUsed[ArgumentStructure, bool] = RecentlyUsed()
        self.output_forms: RecentlyUsed[Hashable, OutputForm] = RecentlyUsed()
        self.calls: RecentlyUsed[Hashable, CompiledCall] = RecentlyUsed()
        self.eager: RecentlyUsed[Hashable, CompiledCall] = RecentlyUsed()
        self.mask_plans: RecentlyUsed[Hashable, MaskPlan] = RecentlyUsed()
        self.latest: ModuleSpec | None = None
