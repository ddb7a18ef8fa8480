"""Values that JAX has no tree for, taken apart and put together again (A1, A5)."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import BuiltinFunctionType, SimpleNamespace

import flax.linen as nn
import jax

from flaxlayer_core.typing import Leaf, PyTree

__all__ = [
    "Container",
    "is_container",
    "own_attributes",
    "plain_container",
    "register_plain_container",
]

_plain: dict[type, Callable[[Leaf], Leaf]] = {}


def register_plain_container(kind: type, plain: Callable[[Leaf], Leaf]) -> None:
    """Declares a class of lists or dicts that stands for plain ones wherever it appears (A1).

    Args:
        kind: The class, such as the one that Keras makes of a list that is an attribute of a model.
        plain: Makes the plain list or dict of an instance.

    Example:

    ```python
    >>> class Watched(list):
    ...     pass
    >>> register_plain_container(Watched, list)
    >>> type(plain_container(Watched([1])))
    <class 'list'>

    ```
    """
    _plain[kind] = plain


def plain_container(value: object) -> PyTree:
    """Returns the plain list or dict that a registered class stands for, else the value itself.

    Args:
        value: Anything; what is in a container stays as it is.
    """
    plain = _plain.get(type(value))
    return value if plain is None else plain(value)


def is_container(value: object) -> bool:
    """Tells whether a value holds others: a mapping, a sequence, or an object of declared fields.

    Args:
        value: Anything.

    Returns:
        True for subclasses of list, tuple and dict, mappings, dataclasses, classes of attrs and
        `SimpleNamespace`; False for Flax modules, which are settings.
    """
    if isinstance(value, type | nn.Module):
        return False
    if isinstance(value, list | tuple | Mapping | SimpleNamespace):
        return True
    return dataclasses.is_dataclass(value) or hasattr(type(value), "__attrs_attrs__")


@jax.tree_util.register_pytree_with_keys_class
@dataclass(frozen=True, eq=False)
class Container:
    """An object by its parts; it is made again without its constructor, which may look at them.

    Attributes:
        kind: Its class.
        keys: The keys of a dict, the length of a list or tuple, None for another object.
        names: The names of its attributes.
        children: The items, then the values of the attributes.
    """

    kind: type
    keys: tuple[Leaf, ...] | int | None
    names: tuple[str, ...]
    children: tuple[Leaf, ...]

    @classmethod
    def of(cls, value: object) -> Container:
        """Takes an object apart, one level deep."""
        keys, items = _items(value)
        attributes = _attributes(value)
        return cls(type(value), keys, tuple(attributes), (*items, *attributes.values()))

    def build(self) -> PyTree:
        """Makes the object again of its parts."""
        count = len(self.children) - len(self.names)
        items = self.children[:count]
        if issubclass(self.kind, tuple):
            value: Leaf = tuple.__new__(self.kind, items)
        else:
            value = _allocate(self.kind)
            _fill(value, self.keys, items)
        for name, part in zip(self.names, self.children[count:], strict=True):
            object.__setattr__(value, name, part)
        return value

    def with_children(self, children: Sequence[object]) -> Container:
        """Returns the same object of other parts."""
        return dataclasses.replace(self, children=tuple(children))

    def tree_flatten(self) -> tuple[tuple[Leaf, ...], tuple[Leaf, ...]]:
        """Has the parts as children."""
        return self.children, (self.kind, self.keys, self.names)

    def tree_flatten_with_keys(self) -> tuple[tuple[tuple[PyTree, Leaf], ...], tuple[Leaf, ...]]:
        """Has the parts as children, under the keys that the object has for them."""
        count = len(self.children) - len(self.names)
        indices = map(jax.tree_util.SequenceKey, range(count))
        named = self.keys if isinstance(self.keys, tuple) else None
        items = indices if named is None else map(jax.tree_util.DictKey, named)
        keys = (*items, *map(jax.tree_util.GetAttrKey, self.names))
        children, form = self.tree_flatten()
        return tuple(zip(keys, children, strict=True)), form

    @classmethod
    def tree_unflatten(cls, form: tuple[PyTree, ...], children: Sequence[PyTree]) -> Container:
        """Makes the node again."""
        kind, keys, names = form
        return cls(kind, keys, names, tuple(children))


def _items(value: object) -> tuple[tuple[Leaf, ...] | int | None, list[Leaf]]:
    # By the base class: what a subclass gives for an item need not be what it holds.
    if isinstance(value, OrderedDict):
        return tuple(OrderedDict.keys(value)), list(OrderedDict.values(value))
    if isinstance(value, dict):
        return tuple(dict.keys(value)), list(dict.values(value))
    if isinstance(value, list):
        return len(value), list(list.__iter__(value))
    if isinstance(value, tuple):
        return len(value), list(tuple.__iter__(value))
    return None, []


def own_attributes(value: object) -> dict[str, PyTree]:
    """Returns what an object holds in its attributes and slots, by name.

    Example:

    ```python
    >>> own_attributes(SimpleNamespace(width=3))
    {'width': 3}

    ```
    """
    found = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def _attributes(value: object) -> dict[str, PyTree]:
    found = own_attributes(value)
    if isinstance(value, defaultdict):
        found["default_factory"] = value.default_factory
    return found


def _allocate(kind: type) -> PyTree:
    # By the nearest base that is no class of Python's: the others may ask for arguments.
    made = (base.__dict__.get("__new__") for base in kind.__mro__)
    return next(new for new in made if isinstance(new, BuiltinFunctionType))(kind)


def _fill(value: PyTree, keys: PyTree, items: Sequence[object]) -> None:
    if isinstance(value, list):
        list.extend(value, items)
    elif isinstance(value, dict):
        put = OrderedDict.__setitem__ if isinstance(value, OrderedDict) else dict.__setitem__
        for key, item in zip(keys, items, strict=True):
            put(value, key, item)
