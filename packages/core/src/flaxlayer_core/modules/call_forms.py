"""What decides the form of a linen submodule's call, so that equal ones are told (B6)."""

from __future__ import annotations

import enum
import functools
import inspect
import itertools
import sys
import types
import weakref
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer_core.compat.private_closures import captured_by
from flaxlayer_core.compat.private_linen import MODULE_ATTRIBUTES, wrapped_descriptor
from flaxlayer_core.typing import Leaf, PyTree

__all__ = ["CallForms", "OutputForm", "asks_for_its_place", "is_apart", "reads_only_fields"]

_SCALARS = (bool, int, float, complex, str, bytes, enum.Enum, np.dtype, type, type(None))
_ARRAYS = (np.ndarray, np.generic, jax.Array)
# What tells a submodule which one of several equal ones it is.
_PLACES = frozenset({"name", "parent", "path", "scope"})
_WRITTEN = ("__call__", "__post_init__", "__getattr__")
_BASE_FIELDS = MODULE_ATTRIBUTES | {"name"}
_DEPTH = 6
_UNSET = object()
_asking: weakref.WeakKeyDictionary[type[nn.Module], bool] = weakref.WeakKeyDictionary()


class CallForms:
    """Tells calls apart within one evaluation, in which no object that it has seen is let go of."""

    def __init__(self) -> None:
        self._kept: list[object] = []

    def of_arguments(self, arguments: PyTree) -> Hashable:
        """Returns what tells arguments from others; None where they hold what has no form.

        Two places that hold one array are told from two arrays: attention asks that.
        """
        leaves, structure = jax.tree_util.tree_flatten(arguments)
        forms = tuple(map(_form_of, leaves))
        if any(form is None for form in forms):
            return None
        self._kept += leaves
        places = {id(leaf): place for place, leaf in reversed([*enumerate(leaves)])}
        return structure, forms, tuple(places[id(leaf)] for leaf in leaves)

    def of_module(self, module: nn.Module) -> Hashable:
        """Returns what tells a module from others; None if its fields may hold modules."""
        self._kept.append(module)
        names = (name for name in module.__dataclass_fields__ if name not in _BASE_FIELDS)
        fields = tuple(self._of_field(getattr(module, name, _UNSET)) for name in names)
        return None if any(field is None for field in fields) else (type(module), fields)

    def _of_field(self, value: object) -> Hashable:
        if isinstance(value, _SCALARS):
            return type(value), value
        if not is_apart(value):
            return None
        self._kept.append(value)
        # A configuration may be another one in the next call: it counts by what it holds now.
        inner = () if isinstance(value, _ARRAYS) or _is_global(value) else _parts(value)
        parts = tuple(map(self._of_field, inner))
        if any(part is None for part in parts):
            return None
        return (type(value), None if isinstance(value, tuple) else id(value), parts)


@dataclass(frozen=True)
class OutputForm:
    """The form of outputs.

    Attributes:
        structure: Their structure.
        leaves: For each array a `ShapeDtypeStruct`, and any other leaf as it is.
    """

    structure: PyTree
    leaves: Sequence[Leaf]

    @classmethod
    def of(cls, outputs: PyTree) -> OutputForm | None:
        """Returns the form; None where it is not all that counts."""
        leaves, structure = jax.tree_util.tree_flatten(outputs)
        forms = [_fillable(leaf) for leaf in leaves]
        return None if any(form is None for form in forms) else cls(structure, forms)

    def fill(self, value: Leaf) -> PyTree:
        """Returns outputs of this form, with one value everywhere.

        Args:
            value: A bool, which each dtype can hold.
        """
        made = [
            jax.lax.broadcast(jax.lax.convert_element_type(value, leaf.dtype), leaf.shape)
            if isinstance(leaf, jax.ShapeDtypeStruct)
            else leaf
            for leaf in self.leaves
        ]
        return jax.tree_util.tree_unflatten(self.structure, made)


def _fillable(leaf: Leaf) -> Leaf | None:
    # A weak type cannot be asked for, nor a key be filled; of what is no tracer the value counts.
    if isinstance(leaf, _SCALARS):
        return leaf
    if not isinstance(leaf, jax.core.Tracer) or jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
        return None
    aval: Leaf = leaf.aval
    return None if aval.weak_type else jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _form_of(leaf: Leaf) -> Hashable:
    if isinstance(leaf, jax.core.Tracer):
        return leaf.aval
    if isinstance(leaf, _SCALARS):
        return type(leaf), leaf
    return ("array", id(leaf)) if isinstance(leaf, _ARRAYS) else None


def asks_for_its_place(cls: type[nn.Module]) -> bool:
    """Tells whether a method of a class reads what differs between equal submodules."""
    if cls not in _asking:
        _asking[cls] = not _PLACES.isdisjoint(_names_in(cls))
    return _asking[cls]


def _names_in(cls: type[nn.Module]) -> Iterator[str]:
    for each in itertools.takewhile(lambda each: each is not nn.Module, cls.__mro__):
        for name, written in vars(each).items():
            if name.startswith("__") and name not in _WRITTEN:  # what dataclasses generate
                continue
            attribute: Leaf = wrapped_descriptor(written)
            inner = (getattr(attribute, name, None) for name in ("fget", "__func__", "func"))
            for function in (attribute, *inner):
                code = getattr(inspect.unwrap(function), "__code__", None)
                yield from () if code is None else _names(code)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def is_apart(value: object, depth: int = 0) -> bool:
    """Tells whether a function or an object has nothing to do with modules and traces.

    Args:
        value: The function or object.
        depth: How deep inside of another it stands.
    """
    if isinstance(value, (*_SCALARS, *_ARRAYS)):
        return not isinstance(value, jax.core.Tracer)
    if isinstance(value, nn.Module):
        return False
    if _is_global(value):
        return True
    return depth < _DEPTH and all(is_apart(part, depth + 1) for part in _parts(value))


def _is_global(value: object) -> bool:
    # Such as an activation: it was there before any module was called.
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    home = sys.modules.get(getattr(value, "__module__", None) or "")
    return isinstance(name, str) and getattr(home, name, None) is value


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return (*value.keys(), *value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if isinstance(value, functools.partial):
        return (value.func, *value.args, *value.keywords.values())
    if isinstance(value, types.MethodType):
        return (value.__self__,)
    if isinstance(value, types.FunctionType):
        return captured_by(value).values()
    parts: Iterable[object] = getattr(value, "__dict__", {}).values()
    return parts


def reads_only_fields(function: object) -> bool:
    """Tells whether a function that a module made needs nothing of it but its fields.

    Such a function of one module serves an equal one, whose variables and streams are others.

    Args:
        function: An initialiser that a module hands to `param`.
    """
    if is_apart(function):
        return True
    if not isinstance(function, types.FunctionType):
        return False
    names = set(_names(function.__code__))
    for part in captured_by(function).values():
        if isinstance(part, nn.Module):
            fields = part.__dataclass_fields__.keys() - _BASE_FIELDS
            if not names.isdisjoint({*dir(type(part)), *_PLACES} - fields):
                return False
            if not all(is_apart(getattr(part, name, None)) for name in fields):
                return False
        elif not reads_only_fields(part):
            return False
    return True
