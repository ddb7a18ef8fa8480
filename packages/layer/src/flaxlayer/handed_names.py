"""What a user hands to a layer becomes known to stored configurations; what a file names does not.

A file's names were known, or given for the time of the load: made of them, a layer makes nothing
known by itself (S2). Its own configuration does, when it is asked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from flaxlayer.compat.keras_loads import current_load
from flaxlayer_core import ArgumentStructure, holding, is_factory, remember, remember_maker

__all__ = ["nothing_handed", "remember_arguments", "remember_handed"]

_from_file: ContextVar[bool] = ContextVar("flaxlayer_from_file", default=False)


@contextlib.contextmanager
def nothing_handed() -> Iterator[None]:
    """Opens a context in which a layer is made of what a file names."""
    with holding(_from_file, True):
        yield


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


def remember_arguments(structure: ArgumentStructure) -> None:
    """Makes the classes and functions in a call's arguments known to stored configurations (S2).

    Not those of a call that Keras makes while it loads a model: they are the file's.

    Args:
        structure: What `partition` returned.
    """
    if structure.stored or current_load() is not None:
        return
    remember([value for _, value in structure.statics])
    pending = [structure.treedef]
    while pending:
        treedef = pending.pop()
        node = treedef.node_data()
        if node is not None:
            remember(node[0])
            pending.extend(treedef.children())
