"""The dtypes that Sequential models give their layers (A10)."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar

import keras
from keras.backend import standardize_dtype

from flaxlayer.compat import private_keras
from flaxlayer.compat.keras_sequential import SequentialBuild, close_input, sequential_builds
from flaxlayer.typing import Array, DType
from flaxlayer_core import holding

__all__ = ["is_asking", "keep_dtypes", "open_inputs"]

_ASKING: ContextVar[bool] = ContextVar("asking", default=False)


def open_inputs() -> list[Array]:
    """Gives Sequential models that are being built the dtypes of what they were called on.

    Keras takes the compute dtype of the first layer for that of the inputs, and casts them.

    Returns:
        The input layers of those that got only a shape: the first call says their dtypes.
    """
    left_open: list[Array] = []
    if is_asking():
        return left_open
    for build in sequential_builds():
        if not _passes_on(build, "int32"):
            continue
        supposed = bool(left_open) or private_keras.in_symbolic_scope()
        dtype = getattr(build.given, "dtype", None) and standardize_dtype(build.given.dtype)
        if dtype is None or (supposed and dtype == keras.config.floatx()):
            left_open.append(build.leave_open())
        elif dtype not in ("float32", "float64") and _passes_on(build, dtype):
            build.retype(dtype)
    return left_open


def keep_dtypes(dtypes: Sequence[DType]) -> None:
    """Gives Sequential models that are being built the dtypes of a layer that is built already.

    Args:
        dtypes: Those of the arrays that the layer was built with.
    """
    for layer in open_inputs():  # of a model that got only a shape
        close_input(layer, dtypes[:1])


def is_asking() -> bool:
    """Tells whether the layers of a model are only asked which dtypes they pass on.

    A layer of ours among them answers as it is: it builds nothing for the question.
    """
    return _ASKING.get()


def _passes_on(build: SequentialBuild, dtype: str) -> bool:
    with holding(_ASKING, True):
        try:
            return build.passed_on(dtype) == dtype
        except Exception:  # a layer before this one may refuse it in any way
            return False
