"""What no file can hold of a layer, through the copies and pickles that Keras makes (S4).

Keras copies and pickles a model, or a layer, by an archive of its configuration and weights. A
module that no configuration can hold is in the same process, or in the same pickle, all the same.
"""

from __future__ import annotations

import base64
import copy
import pickle
import uuid
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from flax import nnx

from flaxlayer.compat import keras_loads
from flaxlayer.saving.fields import refuse
from flaxlayer.typing import Json
from flaxlayer_core import EncodeModuleError

__all__ = ["bring", "carry"]

_TYPE = "flaxlayer.carried"


class _Part:
    """A part of a layer that is being copied."""

    def __init__(self, value: object) -> None:
        self.value = value


# A copy is made while what it is made of is there: the parts live as long as their layer.
_copied: weakref.WeakValueDictionary[str, _Part] = weakref.WeakValueDictionary()
_held: weakref.WeakKeyDictionary[Any, dict[str, _Part]] = weakref.WeakKeyDictionary()


def carry(layer: Any, part: str, value: Any, encode: Callable[[], Json]) -> Json:
    """Returns a part of a layer as JSON, in a copy or a pickle whatever it is.

    Args:
        layer: The layer.
        part: `"module"`, `"method"` or `"init_method"`.
        value: The part itself.
        encode: Returns its JSON form.

    Returns:
        The JSON form. Where there is none and Keras copies or pickles: what `bring` takes.

    Raises:
        EncodeModuleError: If it cannot be stored, and not be pickled where it has to be.
    """
    try:
        return encode()
    except EncodeModuleError as error:
        if keras_loads.is_copying():
            token = uuid.uuid4().hex
            held = _held.setdefault(layer, {}).setdefault(part, _Part(value))
            held.value, _copied[token] = value, held
            return {"$type": _TYPE, "copied": token, "part": part}
        if not keras_loads.is_pickling():
            raise
        return {"$type": _TYPE, "pickled": _pickled(value, error), "part": part}


def _pickled(value: Any, error: EncodeModuleError) -> str:
    try:
        return base64.b64encode(pickle.dumps(value)).decode("ascii")
    except Exception:  # what a user wrote may refuse in any way
        raise error from None


def bring(config: Json, part: str, decode: Callable[[Json], Json]) -> Json:
    """Returns what `carry` was given.

    Args:
        config: What it returned.
        part: The same.
        decode: Takes the JSON form.

    Raises:
        DecodeModuleError: If it is a copy or a pickle, and Keras does not make the one nor reads
            the other: no file holds one.
    """
    if not isinstance(config, Mapping) or config.get("$type") != _TYPE:
        return decode(config)
    if config.get("part") == part:
        if keras_loads.is_copying() and config.get("copied") in _copied:
            return _same(_copied[config["copied"]].value)
        if keras_loads.is_unpickling() and "pickled" in config:
            # The pickle that this is a part of is being loaded already.
            return pickle.loads(base64.b64decode(config["pickled"]))
    raise refuse(part, expected="what a file can hold", found=sorted(config))


def _same(value: object) -> Json:
    # A module of linen never changes, and functions are what they are.
    return copy.deepcopy(value) if isinstance(value, nnx.Module) else value
