"""The modules inside a module, as rows of Keras's summary of a model."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flaxlayer.compat.keras_summaries import PartOfLayer
from flaxlayer.summaries.variable_rows import levels_with_room
from flaxlayer.weights.variables import FlaxWeights
from flaxlayer_core import Path, Role, list_some

__all__ = ["ModuleParts", "module_parts"]

_MOST_PARTS = 200
_LONGEST_NAME = 60


class Module(PartOfLayer):
    """A module in a module. Keras shows the name of this class beside that of the module."""


class ModuleParts:
    """An attribute `layers`, where `keras.Model.summary(expand_nested=True)` looks for them.

    It has no `__set__`: a subclass may have an attribute of that name (W5).
    """

    def __get__(self, layer: Any, owner: type | None = None) -> list[PartOfLayer]:
        if layer is None:
            return []
        weights = layer._hosted.weights
        return [] if weights is None else module_parts(weights)


def module_parts(weights: FlaxWeights, *, most: int = _MOST_PARTS) -> list[PartOfLayer]:
    """Returns the modules inside a module, with the variables of all their collections.

    Args:
        weights: Its variables. Those that are its own belong to no part.
        most: How many parts there may be.

    Returns:
        The outer ones, which have those inside them: as many levels as there is room for.
    """
    layout = weights.layout
    pairs = zip(layout.specs, weights.variables, strict=True)
    # Params first: they tell most of the modules.
    first = sorted(pairs, key=lambda pair: layout.role(pair[0].path[0]) is not Role.TRAINABLE)
    homes = [(spec.path[1:-1], variable) for spec, variable in first]
    every = dict.fromkeys(home[:n] for home, _ in homes for n in range(1, len(home) + 1))
    levels = levels_with_room(Counter(len(path) - 1 for path in every), most)
    outer = PartOfLayer("")
    parts: dict[Path, PartOfLayer] = {(): outer}
    for path in every:
        if len(path) <= levels and len(parts) <= most:
            name = list_some([path[-1]], "", most=1, longest=_LONGEST_NAME)
            parts[path] = Module(name)
            parts[path[:-1]].layers.append(parts[path])
    for home, variable in homes:
        for n in range(1, len(home) + 1):
            if home[:n] in parts:
                parts[home[:n]].weights.append(variable)
    return outer.layers
