"""What a user hands to a layer becomes known to stored configurations; what a file names does not.

A file's names were known, or given for the time of the load: made of them, a layer makes nothing
known by itself (S2). Its own configuration does, when it is asked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from flaxlayer_core import is_factory
from flaxlayer_core.config import remember, remember_maker

__all__ = ["nothing_handed", "remember_handed"]

_from_file: ContextVar[bool] = ContextVar("flaxlayer_from_file", default=False)


@contextlib.contextmanager
def nothing_handed() -> Iterator[None]:
    """Opens a context in which a layer is made of what a file names."""
    token = _from_file.set(True)
    try:
        yield
    finally:
        _from_file.reset(token)


def remember_handed(module: Any, *methods: Any) -> None:
    """Makes known what a layer was given, unless it is made of what a file names (S2).

    Args:
        module: A module, or what makes one.
        *methods: Methods of it.
    """
    if _from_file.get():
        return
    remember([module, *methods])
    if is_factory(module):
        remember_maker(module)
