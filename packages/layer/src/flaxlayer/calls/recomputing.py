"""Calls of a layer in a `keras.RematScope`, whose gradient keeps nothing but the inputs (A11).

Keras's own way takes every argument of `Layer.call` for an array and lets no state out, and so
fails for layers with a training flag. Here the module's call is recomputed, and nothing around it.
"""

from __future__ import annotations

import functools
from contextvars import ContextVar

from flaxlayer.typing import Function, PyTree
from flaxlayer_core import holding

__all__ = ["is_recomputed", "recomputed"]

_recomputed: ContextVar[bool] = ContextVar("recomputed", default=False)


def recomputed(call: Function) -> Function:
    """Returns a call of a layer within which the calls of modules are recomputed.

    Args:
        call: `Layer.call`, or what stands in its place.
    """

    @functools.wraps(call)
    def run(*args: PyTree, **kwargs: PyTree) -> PyTree:
        with holding(_recomputed, True):
            return call(*args, **kwargs)

    return run


def is_recomputed() -> bool:
    """Tells whether this call's gradient is to be computed from its inputs once more."""
    return _recomputed.get()
