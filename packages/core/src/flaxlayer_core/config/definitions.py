"""What kinds of classes and functions a configuration may name, and when two are the same."""

from __future__ import annotations

__all__ = [
    "is_enum_class",
    "is_module_class",
    "is_named_function",
    "is_namedtuple_class",
    "is_nnx_class",
    "is_record_class",
    "is_storable_class",
    "latest",
    "public_methods",
    "qualified_name",
    "same_definition",
]

import dataclasses
import enum
import functools
import inspect
import sys
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType

import flax.linen as nn
import jax
import numpy as np
from flax import nnx

from flaxlayer_core.compat.private_closures import closure_variables
from flaxlayer_core.compat.private_linen import MODULE_ATTRIBUTES
from flaxlayer_core.modules.method_names import is_public_name, may_name_method


def is_module_class(value: object) -> bool:
    """Whether `value` is a linen module class."""
    return isinstance(value, type) and issubclass(value, nn.Module)


def is_nnx_class(value: object) -> bool:
    """Whether `value` is an nnx module class."""
    return isinstance(value, type) and issubclass(value, nnx.Module)


def is_record_class(value: object) -> bool:
    """Whether `value` is a dataclass that is not a module class."""
    is_module = is_module_class(value) or is_nnx_class(value)
    return isinstance(value, type) and dataclasses.is_dataclass(value) and not is_module


def is_enum_class(value: object) -> bool:
    """Whether `value` is an enum class."""
    return isinstance(value, type) and issubclass(value, enum.Enum)


def is_namedtuple_class(value: object) -> bool:
    """Whether `value` is a named tuple class."""
    return isinstance(value, type) and issubclass(value, tuple) and hasattr(value, "_fields")


def is_storable_class(value: object) -> bool:
    """Whether `value` is a class of a kind that a configuration may name."""
    kinds = (is_module_class, is_nnx_class, is_record_class, is_enum_class, is_namedtuple_class)
    return any(matches(value) for matches in kinds)


def is_named_function(value: object) -> bool:
    """Whether `value` is a function that its module and qualified name stand for.

    A function that captures variables is not, unless it is what its module holds under its name (a
    decorated function): the name says nothing about what was captured.
    """
    excluded = (type, nn.Module, functools.partial, MethodType, BuiltinFunctionType)
    if isinstance(value, excluded) or not callable(value):
        return False
    if "<lambda>" in (qualified_name(value) or "<lambda>"):
        return False
    plain = isinstance(value, FunctionType) and value.__closure__ is None
    return (plain and not hasattr(value, "__wrapped__")) or _is_reachable(value)


def qualified_name(value: object) -> str | None:
    """`module:qualname` of a class or function, None where it has none."""
    try:
        module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    except Exception:  # a user's __getattr__ may raise anything: it has no such attribute
        return None
    return f"{module}:{qualname}" if isinstance(module, str) and isinstance(qualname, str) else None


def _is_reachable(value: object) -> bool:
    return _in_its_module(value) is value


def _in_its_module(value: object) -> object:
    """What the module of `value` holds under its name, if it is imported."""
    module, _, qualname = str(qualified_name(value)).partition(":")
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        found = inspect.getattr_static(found, part, None)
    return found


def latest(value: object) -> object:
    """What a class or function became: a module is reloaded, the cell of a notebook runs again."""
    found = _in_its_module(value)
    is_class = isinstance(value, type)
    same_kind = callable(found) and isinstance(found, type) == is_class
    return found if same_kind and qualified_name(found) == qualified_name(value) else value


def public_methods(cls: type) -> Mapping[str, FunctionType]:
    """The public methods of `cls` and `__call__`, by name: all that a configuration can reach."""
    methods: dict[str, FunctionType] = {}
    for base in reversed(cls.__mro__):
        methods |= {
            name: value
            for name, value in vars(base).items()
            if isinstance(value, FunctionType) and is_public_name(name)
        }
    of_flax = nnx.Module if is_nnx_class(cls) else nn.Module
    names = [name for name in methods if may_name_method(cls, of_flax, name)]
    return MappingProxyType({name: methods[name] for name in names})


def same_definition(left: object, right: object) -> bool:
    """Whether two classes or functions come from one `class` or `def` and captured equal values.

    A `def` in a function that ran twice makes two objects that behave alike; two runs that captured
    other values do not, though their names are the same.
    """
    return _Comparison().same(left, right)


class _Comparison:
    """One comparison; `pairs` ends recursion through a class that its own methods refer to."""

    def __init__(self) -> None:
        self.pairs: set[tuple[int, int]] = set()

    def same(self, left: object, right: object) -> bool:
        if left is right or (id(left), id(right)) in self.pairs:
            return True
        if isinstance(left, type) and isinstance(right, type):
            self.pairs.add((id(left), id(right)))
            return self._same_class(left, right)
        if isinstance(left, FunctionType) and isinstance(right, FunctionType):
            self.pairs.add((id(left), id(right)))
            return self._same_function(left, right)
        return type(left) is type(right) and self._same_value(left, right)

    def _same_class(self, left: type, right: type) -> bool:
        first, second = dict(_own_attributes(left)), dict(_own_attributes(right))
        return (
            qualified_name(left) == qualified_name(right)
            and len(left.__bases__) == len(right.__bases__)
            and all(map(self.same, left.__bases__, right.__bases__))
            and self.same(_field_defaults(left), _field_defaults(right))
            and first.keys() == second.keys()
            and all(self.same(first[name], second[name]) for name in first)
        )

    def _same_function(self, left: FunctionType, right: FunctionType) -> bool:
        return (
            left.__code__ == right.__code__
            and self.same(closure_variables(left), closure_variables(right))
            and self.same(left.__defaults__ or (), right.__defaults__ or ())
            and self.same(left.__kwdefaults__ or {}, right.__kwdefaults__ or {})
        )

    def _same_value(self, left: object, right: object) -> bool:
        if isinstance(left, (tuple, list)) and isinstance(right, (tuple, list)):
            return len(left) == len(right) and all(map(self.same, left, right))
        if isinstance(left, dict) and isinstance(right, dict):
            return left.keys() == right.keys() and all(
                self.same(left[key], right[key]) for key in left
            )
        if isinstance(left, property) and isinstance(right, property):
            return self.same((left.fget, left.fset), (right.fget, right.fset))
        if isinstance(left, (staticmethod, classmethod)) and isinstance(
            right, (staticmethod, classmethod)
        ):
            return self.same(left.__func__, right.__func__)
        try:
            if isinstance(left, (np.ndarray, jax.Array)):
                return np.array_equal(left, right)  # type: ignore[arg-type]
            return bool(left == right)
        except Exception:  # a user's __eq__ may do anything; not comparable means not the same
            return False


def _field_defaults(cls: type) -> dict[str, object]:
    # They count, since a configuration leaves out the fields that have them.
    if not dataclasses.is_dataclass(cls):
        return {}
    return {f.name: (f.init, f.default, f.default_factory) for f in dataclasses.fields(cls)}


def _own_attributes(cls: type) -> Iterator[tuple[str, object]]:
    # Without field defaults, which are compared apart, and what dataclass makes.
    skipped = {*MODULE_ATTRIBUTES, *_field_defaults(cls)}
    for name, value in vars(cls).items():
        plain = inspect.unwrap(value) if isinstance(value, FunctionType) else value
        generated = isinstance(plain, FunctionType) and plain.__code__.co_filename == "<string>"
        is_data = name.startswith("__") and not isinstance(value, FunctionType)
        if name not in skipped and not generated and not is_data:
            yield name, plain
