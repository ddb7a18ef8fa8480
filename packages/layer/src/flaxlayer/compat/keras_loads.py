"""What Keras is loading, copying or pickling in this thread, told by the functions that run.

Keras has no public word for it (tests/compat/test_keras_loads.py); checked with the versions of
docs/versions.md.

- `keras.src.saving.keras_saveable.KerasSaveable`: Keras copies and pickles by archives, and only
  the functions that run tell that from saving; a copy can hold what a file cannot (S4).
- the frames of what loads: `load_model` opens a scope for what it has made so far, but not for the
  weights; `from_config`, `model_from_json` and `clone_model` open none. What belongs to one load is
  kept in the frame of the outermost of them, and so goes when that returns (S2, S3).
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FrameType
from typing import Any

import keras
from keras.src.saving.keras_saveable import KerasSaveable

__all__ = [
    "LoadMark",
    "current_load",
    "is_copying",
    "is_pickling",
    "is_unpickling",
    "load_mark",
]

_KEPT = "what flaxlayer keeps of this load"


def _codes(*functions: Callable[..., object]) -> tuple[CodeType, ...]:
    return tuple(inspect.unwrap(function).__code__ for function in functions)


# Each call reads one file, whatever it is called in.
_FILES = _codes(
    keras.saving.load_model,
    keras.saving.load_weights,
    keras.models.model_from_json,
    KerasSaveable._unpickle_model,
)
# Each makes a part of what the outermost makes.
_PARTS = _codes(keras.saving.deserialize_keras_object, keras.models.clone_model)
_COPIES = _codes(copy.copy, copy.deepcopy, keras.models.clone_model)
_PICKLING, _UNPICKLING = _codes(KerasSaveable.__reduce__), _codes(KerasSaveable._unpickle_model)


def current_load() -> dict[str, Any] | None:
    """Returns a table of the load that runs in this thread, None where nothing is loaded.

    A load is the innermost call that reads a file, or else the outermost one that makes an object
    of its configuration. Two loads have two tables, also where one follows the other.
    """
    load = _loading_frame()
    if load is None:
        return None
    # What is added here stays until the function returns, and then goes with its frame.
    table: dict[str, Any] = load.f_locals.setdefault(_KEPT, {})
    return table


class LoadMark:
    """What tells one load from another, as long as it runs."""


def load_mark() -> LoadMark | None:
    """Returns the mark of the load that runs in this thread, None where nothing is loaded."""
    table = current_load()
    if table is None:
        return None
    mark: LoadMark = table.setdefault("mark", LoadMark())
    return mark


def _loading_frame() -> FrameType | None:
    found = None
    for frame in _frames():
        if _runs(frame, _FILES):
            return frame
        if _runs(frame, _PARTS) or _makes_of_config(frame):
            found = frame
    return found


def _makes_of_config(frame: FrameType) -> bool:
    # Reading the locals of a frame keeps them alive as long as it runs.
    code = frame.f_code
    if code.co_name != "from_config" or not code.co_argcount:
        return False
    cls = frame.f_locals.get(code.co_varnames[0])
    return isinstance(cls, type) and issubclass(cls, KerasSaveable)


def is_copying() -> bool:
    """Tells whether this thread copies a model or a layer: by `copy`, or `clone_model`."""
    return _is_running(_COPIES)


def is_pickling() -> bool:
    """Tells whether Keras writes an archive for a pickle in this thread."""
    return _is_running(_PICKLING)


def is_unpickling() -> bool:
    """Tells whether what is loaded in this thread is an archive out of a pickle."""
    load = _loading_frame()
    return load is not None and _runs(load, _UNPICKLING)


def _is_running(codes: Sequence[CodeType]) -> bool:
    return any(_runs(frame, codes) for frame in _frames())


def _runs(frame: FrameType, codes: Sequence[CodeType]) -> bool:
    # By identity: code that torch.compile has made cannot be hashed.
    return any(frame.f_code is code for code in codes)


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
