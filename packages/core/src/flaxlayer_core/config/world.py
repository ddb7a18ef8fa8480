"""The closed world: every class and function that a stored configuration may name (S2)."""

from __future__ import annotations

__all__ = ["Resolver", "adopt", "is_registered", "known_classes", "look_up", "name_of", "register"]

from collections.abc import Callable, Iterator
from types import MethodType
from typing import TypeVar, overload

import flax.linen as nn

from flaxlayer_core.config.definitions import (
    is_lifted_class,
    is_named_function,
    is_storable_class,
    qualified_name,
    same_definition,
)
from flaxlayer_core.config.reports import cannot_store, describe
from flaxlayer_core.config.stock import STOCK, stock_name
from flaxlayer_core.errors import AcceptModuleError

Resolver = Callable[[str], object | None]
_T = TypeVar("_T")

_registered: dict[str, object] = {}
_remembered: dict[str, object] = {}


@overload
def register(
    obj: None = None, *, package: str = ..., name: str | None = ...
) -> Callable[[_T], _T]: ...
@overload
def register(obj: _T, *, package: str = ..., name: str | None = ...) -> _T: ...
def register(
    obj: _T | None = None, *, package: str = "flaxlayer", name: str | None = None
) -> _T | Callable[[_T], _T]:
    """Lets stored configurations name a class or a function, as a decorator or a call.

    Classes and named functions that stand in the fields of a module handed to a layer are known
    without it. It is for a process that loads before it has made such a layer, and for what has no
    name of its own: a lambda, a function that captures variables, a class made by a transform.

    Args:
        obj: A module class, dataclass, enum, named tuple class or function.
        package: The first half of the stored name `package>name`.
        name: The second half; the object's own `__name__` by default.

    Returns:
        `obj` itself, or a decorator where `obj` is not given.

    Raises:
        AcceptModuleError: `obj` is of another kind, has no name, or the name belongs to something
            else.

    Example:

    ```python
    >>> import jax.numpy as jnp
    >>> from flaxlayer_core.config import decode_value, encode_value, register
    >>> halve = register(lambda x: x / 2, package="docs", name="halve")
    >>> encode_value(halve, path="act")
    {'$type': 'function', 'name': 'docs>halve'}
    >>> decode_value({"$type": "function", "name": "docs>halve"}, path="act") is halve
    True

    ```
    """
    if obj is None:
        return lambda given: register(given, package=package, name=name)
    _check_kind(obj)
    key = f"{package}>{name or _own_name(obj)}"
    _check_free(key, obj)
    _registered[key] = obj
    return obj


def _check_kind(obj: object) -> None:
    is_function = callable(obj) and not isinstance(obj, (type, nn.Module, MethodType))
    if not (is_function or is_storable_class(obj)):
        raise AcceptModuleError(
            f"Cannot register {describe(obj)}.",
            expected="a module class, dataclass, enum, named tuple class or function",
            found=describe(obj),
            fix="Register the class of an instance, or a plain function.",
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
    holder = _registered.get(key)
    if holder is None or holder is obj or qualified_name(holder) == qualified_name(obj) is not None:
        return
    raise AcceptModuleError(
        f"Cannot register {describe(obj)} as {key!r}.",
        expected="a name that is free",
        found=f"{describe(holder)} under that name",
        fix="Pass another name= or package=.",
        law="S2",
    )


def adopt(obj: object) -> None:
    """Makes a class or a named function known by its qualified name; the latest one wins.

    Example:

    ```python
    >>> from flaxlayer_core.config.world import adopt, look_up
    >>> def halve(x):
    ...     return x / 2
    >>> adopt(halve)
    >>> look_up(f"{__name__}:halve", None) is halve
    True

    ```
    """
    name = qualified_name(obj)
    if name is not None and _has_own_name(obj):
        _remembered[name] = obj


def _has_own_name(obj: object) -> bool:
    if stock_name(obj) or is_lifted_class(obj):
        return False
    return is_storable_class(obj) or is_named_function(obj)


def is_registered(obj: object) -> bool:
    """Whether `register` gave `obj` a name."""
    return any(held is obj for held in list(_registered.values()))


def name_of(obj: object, path: str) -> str | None:
    """The name under which `obj` is stored, None where it has none that stands for it.

    Raises:
        EncodeModuleError: Its name belongs to another definition by now.

    Example:

    ```python
    >>> import flax.linen as nn
    >>> from flaxlayer_core.config.world import name_of
    >>> name_of(nn.Dense, "cls")
    'flax.linen:Dense'

    ```
    """
    explicit = next((name for name, held in list(_registered.items()) if held is obj), None)
    name = explicit or stock_name(obj)
    if name or not _has_own_name(obj):
        return name
    name = str(qualified_name(obj))
    holder = _remembered.setdefault(name, obj)
    if not same_definition(holder, obj):
        raise _shadowed(obj, path)
    return name


def _shadowed(obj: object, path: str) -> Exception:
    return cannot_store(
        path,
        expected="a name that stands for one definition",
        found=f"{describe(obj)}, whose name another definition has by now",
        fix="Store it before redefining it, or flaxlayer.register(...) each under its own name=.",
    )


def look_up(name: str, resolve: Resolver | None) -> object | None:
    """What `name` stands for, by dictionary look-up alone; None where it is not known (S2).

    `resolve` is asked first, by the stored name and, for what is not stock, by the plain name.

    Example:

    ```python
    >>> from flaxlayer_core.config.world import look_up
    >>> look_up("flax.linen:Dense", None)
    <class 'flax.linen.linear.Dense'>
    >>> look_up("os:system", None)

    ```
    """
    asked = (
        [name]
        if name in STOCK
        else [name, name.rpartition(">")[2].rpartition(":")[2].rpartition(".")[2]]
    )
    answers = (resolve(each) for each in asked) if resolve else iter(())
    found = next((answer for answer in answers if answer is not None), None)
    if found is not None:
        return found
    return next((table[name] for table in (_registered, STOCK, _remembered) if name in table), None)


def known_classes() -> Iterator[type]:
    """Every class that a configuration may name at this moment."""
    for table in (_registered, STOCK, _remembered):
        yield from (held for held in list(table.values()) if isinstance(held, type))
