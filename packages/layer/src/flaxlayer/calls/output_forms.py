"""What a symbolic call returns: Keras tensors in the form of the module's outputs (A5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import keras

from flaxlayer.inputs import arrays_of, keras_tensor
from flaxlayer.typing import Array
from flaxlayer_core import ArraySpec, Outline, has_sealed, infer_output_specs, outline_outputs

__all__ = ["OutputForm"]


@dataclass(frozen=True)
class OutputForm:
    """The outputs of a symbolic call.

    Attributes:
        specs: Their arrays.
        outline: What else is in them.
        is_plain: Whether Keras finds the same arrays in them, and nothing else.
    """

    specs: tuple[ArraySpec, ...]
    outline: Outline
    is_plain: bool

    @classmethod
    def of(
        cls, inputs: Sequence[ArraySpec], run: Callable[[Sequence[jax.ShapeDtypeStruct]], Any]
    ) -> OutputForm:
        """Finds the outputs by abstract evaluation.

        Args:
            inputs: The arrays of the arguments, with unknown dimensions.
            run: Returns the outputs for abstract arrays, as `wrap_statics` gives them.
        """
        wrapped: list[Array] = []

        def arrays(abstract: Sequence[jax.ShapeDtypeStruct]) -> list[Array]:
            wrapped.append(run(abstract))
            return arrays_of(wrapped[-1])

        specs = tuple(infer_output_specs(inputs, arrays))
        outline = outline_outputs(wrapped[-1])
        tensors = list(map(keras_tensor, specs))
        seen = keras.tree.flatten(outline.fill(tensors))
        same = len(seen) == len(tensors) and all(map(lambda a, b: a is b, seen, tensors))
        return cls(specs, outline, is_plain=same and not has_sealed(wrapped[-1]))

    def tensors(self) -> list[keras.KerasTensor]:
        """Returns a new Keras tensor for each array."""
        return list(map(keras_tensor, self.specs))
