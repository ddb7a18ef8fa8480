"""The words for what is passed around."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax

__all__ = ["Array", "Function", "Leaf", "Method", "Path", "PyTree", "Rngs", "Size", "Variables"]

PyTree: TypeAlias = Any
"""Any tree of `jax.tree_util`: its leaves are arrays, or whatever a user's module has in it."""

Leaf: TypeAlias = Any
"""What a user's module or a library holds, which may be anything and is used as what it is."""

Array: TypeAlias = Any
"""An array of JAX, NumPy or the backend of Keras, or an abstract one: with a shape and a dtype."""

Size: TypeAlias = Any
"""The size of a dimension: an integer, or a symbol of `jax.export`, whose class is private."""

Path: TypeAlias = tuple[str, ...]
"""Names from a collection down to a variable."""

Variables: TypeAlias = Mapping[str, PyTree]
"""A tree of collections, as `Module.init` returns it."""

Rngs: TypeAlias = Mapping[str, jax.Array]
"""The key of each stream, as `Module.apply(rngs=...)` takes them."""

Function: TypeAlias = Callable[..., Any]
"""A function of whatever it takes."""

Method: TypeAlias = str | Function
"""The name of a method, or a function that takes the module first."""
