"""What Keras's summary of a model reads of a layer.

Checked with the versions of docs/versions.md (tests/compat/test_keras_summaries.py).

- the attributes `layers`, `_inbound_nodes` and `_build_shapes_dict` of a row: with
  `expand_nested=True`, `keras.Model.summary` asks a layer for `layers`, and gives each of them a
  row, with a question mark for the shape where it was neither called nor built by Keras.
- `NotImplementedError` of `Layer.compute_output_shape`: the same question mark; any other error
  ends the summary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras

__all__ = ["PartOfLayer", "shown_as_unknown"]


class PartOfLayer:
    """A part of a layer that is no layer of Keras itself, as a row of a summary.

    Attributes:
        name: What it is called in the layer.
        weights: Its variables, those of its own parts too.
        layers: Its parts.
        built: Whether it has its variables: it has no row before.
    """

    built = True
    _inbound_nodes: tuple[object, ...] = ()
    _build_shapes_dict: None = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.weights: list[keras.Variable] = []
        self.layers: list[PartOfLayer] = []

    @property
    def trainable(self) -> bool:
        """Whether anything of it is trained."""
        return any(variable.trainable for variable in self.weights)

    @property
    def variables(self) -> Sequence[keras.Variable]:
        """Its variables, as a layer of Keras names them too."""
        return self.weights

    def count_params(self) -> int:
        """Returns how many elements its variables have."""
        return sum(math.prod(variable.shape) for variable in self.weights)


def shown_as_unknown(error: Exception) -> NotImplementedError:
    """Returns the error for a question mark in the place of an output shape."""
    return NotImplementedError(f"The output shape is not known: {error}")
