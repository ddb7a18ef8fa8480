"""`register`: what a user makes known to stored configurations (S2)."""

from __future__ import annotations

__all__ = ["register"]

from collections.abc import Callable
from types import BuiltinFunctionType, MethodType
from typing import TypeVar, overload

import flax.linen as nn

from flaxlayer_core.config import world
from flaxlayer_core.config.definitions import qualified_name
from flaxlayer_core.config.object_codecs import set_codec
from flaxlayer_core.config.reports import describe
from flaxlayer_core.errors import AcceptModuleError
from flaxlayer_core.typing import Leaf

_T = TypeVar("_T")


@overload
def register(
    obj: None = None,
    *,
    package: str = ...,
    name: str | None = ...,
    encode: Callable[[Leaf], object] | None = ...,
    decode: Callable[[Leaf], object] | None = ...,
) -> Callable[[_T], _T]: ...
@overload
def register(
    obj: _T,
    *,
    package: str = ...,
    name: str | None = ...,
    encode: Callable[[Leaf], object] | None = ...,
    decode: Callable[[Leaf], object] | None = ...,
) -> _T: ...
def register(
    obj: _T | None = None,
    *,
    package: str = "flaxlayer",
    name: str | None = None,
    encode: Callable[[Leaf], object] | None = None,
    decode: Callable[[Leaf], object] | None = None,
) -> _T | Callable[[_T], _T]:
    """Lets stored configurations name a class or a function, as a decorator or a call.

    Classes and named functions that stand in the fields of a module handed to a layer are known
    without it. It is for a process that loads before it has made such a layer, and for what has no
    name of its own: a lambda, a function that captures variables, a class made by a transform.
    To register in the process that loads is enough.

    An object of a class that has no way of its own to be stored is stored by two functions.

    Args:
        obj: A module class, dataclass, enum, named tuple class or function; a class of
            configurations (with `get_config`, `to_dict`, of attrs, of pydantic, a mapping); with
            `encode` and `decode` any class.
        package: The first half of the stored name `package>name`.
        name: The second half; the object's own `__name__` by default.
        encode: From an object of exactly this class to what is stored in its place: any value
            that may stand in a module's field.
        decode: From that value to an object of the class.

    Returns:
        `obj` itself, or a decorator where `obj` is not given.

    Raises:
        AcceptModuleError: `obj` is of another kind, has no name, or the name belongs to something
            else; or only one of `encode` and `decode` is given.

    Example:

    ```python
    >>> import jax.numpy as jnp
    >>> from flaxlayer_core.config import decode_value, encode_value, register
    >>> halve = register(lambda x: x / 2, package="docs", name="halve")
    >>> encode_value(halve, path="act")
    {'$type': 'function', 'name': 'docs>halve'}
    >>> decode_value({"$type": "function", "name": "docs>halve"}, path="act") is halve
    True
    >>> class Grid:
    ...     def __init__(self, text):
    ...         self.rows = text.split()
    >>> _ = register(Grid, encode=lambda grid: " ".join(grid.rows), decode=Grid)
    >>> decode_value(encode_value(Grid("a b"), path="grid"), path="grid").rows
    ['a', 'b']

    ```
    """
    if obj is None:
        return lambda decorated: register(
            decorated, package=package, name=name, encode=encode, decode=decode
        )
    _check_codec(obj, encode, decode)
    _check_kind(obj, coded=encode is not None)
    key = f"{package}>{name or _own_name(obj)}"
    _check_free(key, obj)
    if encode is not None and decode is not None and isinstance(obj, type):
        set_codec(obj, encode, decode)
    world.adopt_as(key, obj)
    return obj


def _check_codec(obj: object, encode: object, decode: object) -> None:
    is_own = isinstance(obj, type) and obj.__module__ != "builtins"
    if (encode is None and decode is None) or (is_own and callable(encode) and callable(decode)):
        return
    raise AcceptModuleError(
        f"Cannot register {describe(obj)}.",
        expected="a class that is not built into Python, with both encode= and decode=",
        found=f"encode={describe(encode)}, decode={describe(decode)}",
        fix="Pass both functions with a class, or neither.",
        law="S1",
    )


def _check_kind(obj: object, *, coded: bool) -> None:
    excluded = (type, nn.Module, MethodType, BuiltinFunctionType)
    is_function = callable(obj) and not isinstance(obj, excluded)
    if not (coded or is_function or world.is_nameable_class(obj)):
        fix = "Register the class of an instance, or a plain function."
        if isinstance(obj, type):
            fix = "Say how to store its objects: flaxlayer.register(cls, encode=..., decode=...)."
        raise AcceptModuleError(
            f"Cannot register {describe(obj)}.",
            expected="a module class, class of configurations, dataclass, enum, named tuple class "
            "or function, not built into Python",
            found=describe(obj),
            fix=fix,
            law="S2",
        )


def _own_name(obj: object) -> str:
    name = getattr(obj, "__name__", "<none>")
    if "<" not in name:
        return str(name)
    raise AcceptModuleError(
        f"Cannot register {describe(obj)}.",
        expected="a name to store it under",
        found="none of its own",
        fix="Pass register(..., name='...').",
        law="S2",
    )


def _check_free(key: str, obj: object) -> None:
    # A notebook cell runs again: the same definition, made anew, takes the name over.
    holder = world.holder_of(key)
    if holder is None or holder is obj or qualified_name(holder) == qualified_name(obj) is not None:
        return
    raise AcceptModuleError(
        f"Cannot register {describe(obj)} as {key!r}.",
        expected="a name that is free",
        found=f"{describe(holder)} under that name",
        fix="Pass another name= or package=.",
        law="S2",
    )
