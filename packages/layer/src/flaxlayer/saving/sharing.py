"""Layers that share weights keep sharing them through a configuration (S4, A3).

A `FlaxMethod` stores the whole configuration of the `FlaxLayer` whose weights it uses, and so does
that layer itself. Both carry one token. The first of them to be made again makes the `FlaxLayer`;
the others of the same load join it, and no other layer is ever joined (S2). Keras's own sharing of
objects does not reach into nested configurations.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TypeVar

from flaxlayer.compat import keras_loads

__all__ = ["new_token", "revive_shared"]

Layer = TypeVar("Layer")


def new_token() -> str:
    """Returns a token that no other layer has."""
    return uuid.uuid4().hex


def revive_shared(token: object, make: Callable[[], Layer]) -> Layer:
    """Returns the layer that stands for a token in what is being loaded.

    Args:
        token: What the configuration has; None for a layer that shares with nobody.
        make: Makes the `FlaxLayer` from its configuration.

    Returns:
        A layer, new or shared with what the same load has made before.
    """
    load = keras_loads.current_load()
    if load is None or not isinstance(token, str):
        return make()
    known: dict[str, Layer] = load.setdefault("layers by token", {})
    if token not in known:
        known[token] = make()
    return known[token]
