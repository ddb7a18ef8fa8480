"""The words for what is passed around."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import jax
import numpy as np
from flax.core import DenyList
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

__all__ = [
    "Args",
    "Array",
    "ClosedJaxpr",
    "DType",
    "Function",
    "Jaxpr",
    "JaxprEqn",
    "Kwargs",
    "Leaf",
    "MeshAxes",
    "Method",
    "Mutable",
    "Path",
    "PyTree",
    "Rngs",
    "Shaped",
    "Size",
    "Variables",
]

PyTree: TypeAlias = Any
"""Any tree of `jax.tree_util`: its leaves are arrays, or whatever a user's module has in it."""

Leaf: TypeAlias = Any
"""An object of the user's or of a library, which may be anything and is used as what it is."""


class Shaped(Protocol):
    """An array or the description of one, of which no more than this is asked."""

    @property
    def shape(self) -> tuple[Size, ...]:
        """Its dimensions."""

    @property
    def dtype(self) -> DType:
        """Its dtype."""


Array: TypeAlias = Any
"""An array of JAX, NumPy or the backend of Keras, or an abstract one: with a shape and a dtype."""

Size: TypeAlias = Any
"""The size of a dimension: an integer, or a symbol of `jax.export`, whose class is private."""

DType: TypeAlias = np.dtype[np.generic]
"""A dtype of NumPy; that of a typed key is one of JAX with a name and an itemsize."""

Path: TypeAlias = tuple[str, ...]
"""Names from a collection down to a variable."""

Variables: TypeAlias = Mapping[str, PyTree]
"""A tree of collections, as `Module.init` returns it."""

MeshAxes: TypeAlias = tuple[str | tuple[str, ...] | None, ...]
"""For each dimension of an array a mesh axis, several, or none."""

Rngs: TypeAlias = Mapping[str, jax.Array]
"""The key of each stream, as `Module.apply(rngs=...)` takes them."""

Mutable: TypeAlias = bool | str | Sequence[str] | DenyList
"""The collections that a call may change, as `Module.apply(mutable=...)` takes them."""

Args: TypeAlias = tuple[PyTree, ...]
"""The positional arguments of a call."""

Kwargs: TypeAlias = Mapping[str, PyTree]
"""The keyword arguments of a call."""

Function: TypeAlias = Callable[..., Any]
"""A function of whatever it takes."""

Method: TypeAlias = str | Function
"""The name of a method, or a function that takes the module first."""
