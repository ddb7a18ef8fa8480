"""What Keras makes of lists and dicts that are attributes of a model: the plain ones (A1)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import keras

from flaxlayer.backends import current_backend
from flaxlayer_core import register_plain_container

__all__ = ["register_tracked"]

_PLAIN: tuple[type, ...] = (list, dict, OrderedDict, tuple)


def register_tracked() -> None:
    """Declares the classes that Keras, and TensorFlow under it, put in place of containers."""
    # Named, so that the names that Keras counts stay as they are.
    for owner in (keras.layers.Layer(name="tracked"), *current_backend().container_owners()):
        _register_attributes(owner)


def _register_attributes(owner: Any) -> None:
    for plain in _PLAIN:
        owner.attribute = plain()
        kind = type(owner.attribute)
        if kind is not plain:
            register_plain_container(kind, plain)
