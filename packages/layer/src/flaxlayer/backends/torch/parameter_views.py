"""Arrays of JAX in the memory of tensors that live on, made once (K3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import torch

from flaxlayer.backends.torch.torch_tensors import prepared, view

__all__ = ["ParameterViews"]


@dataclass(frozen=True)
class _View:
    tensor: torch.Tensor
    address: int
    array: jax.Array


class ParameterViews:
    """Views of the same tensors, call after call.

    Optimizers of torch write to a tensor in place, and a view shows it. A tensor that got other
    memory, as by `model.to`, gets another view.
    """

    def __init__(self) -> None:
        self._known: dict[int, _View] = {}

    def of(self, tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[jax.Array]]:
        """Returns tensors as `prepared` does, and arrays in their memory.

        Args:
            tensors: In an order of their own.
        """
        known, kept, arrays = self._known, [], []
        for place, tensor in enumerate(tensors):
            found = known.get(place)
            if (
                found is None
                or found.tensor is not tensor
                or found.address != tensor.data_ptr()
                or not tensor.is_contiguous()
            ):
                found = self._make(place, tensor)
            kept.append(found.tensor)
            arrays.append(found.array)
        return kept, arrays

    def _make(self, place: int, tensor: torch.Tensor) -> _View:
        plain = prepared(tensor)
        made = _View(plain, plain.data_ptr(), view(plain))
        # What is a copy shows no later write, and what was made for this call is of no other.
        if plain is tensor and made.array.unsafe_buffer_pointer() == made.address:
            self._known[place] = made
        return made
