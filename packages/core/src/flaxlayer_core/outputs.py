"""Outputs of a module as trees that a JAX transformation can carry (A5).

A transformation makes the trees that pass through it anew, from whatever it has at that time:
placeholders, abstract arrays. The classes of users must not see those, as their constructors may
look at their fields. So an object of such a class travels sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax

from flaxlayer_core.array_types import is_array
from flaxlayer_core.containers import Container, is_container
from flaxlayer_core.taking_apart import KeyData, put_together, take_apart

__all__ = [
    "Outline",
    "Sealed",
    "StaticLeaf",
    "has_sealed",
    "outline_outputs",
    "unwrap_statics",
    "wrap_statics",
]


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True)
class StaticLeaf:
    """A value in a tree of outputs that is no array: part of the structure, not a leaf (A5).

    Attributes:
        value: The value, such as a string that the module returned.
    """

    value: Any

    def tree_flatten(self) -> tuple[tuple[()], Any]:
        """Has no children: the value is structure."""
        return (), self.value

    @classmethod
    def tree_unflatten(cls, value: Any, children: Sequence[Any]) -> StaticLeaf:
        """Makes the leaf again from the structure."""
        del children
        return cls(value)


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True, eq=False)
class Sealed:
    """An object of a user's class among outputs, flat: it is made again at the end only.

    Attributes:
        treedef: Its structure.
        leaves: Arrays, and static values in a `StaticLeaf`.
    """

    treedef: jax.tree_util.PyTreeDef
    leaves: Sequence[Any]

    def flat_object(self) -> Any:
        """Returns the object, with what `take_apart` took apart in it."""
        leaves = [leaf.value if isinstance(leaf, StaticLeaf) else leaf for leaf in self.leaves]
        return jax.tree_util.tree_unflatten(self.treedef, leaves)

    def open(self) -> Any:
        """Makes the object of its leaves."""
        return put_together(self.flat_object())

    def tree_flatten(self) -> tuple[tuple[Any, ...], Any]:
        """Has the leaves as children."""
        return tuple(self.leaves), self.treedef

    @classmethod
    def tree_unflatten(cls, treedef: Any, leaves: Sequence[Any]) -> Sealed:
        """Makes the node again; the object stays closed."""
        return cls(treedef, tuple(leaves))


def wrap_statics(outputs: Any) -> Any:
    """Makes any outputs pass through a JAX transformation (A5).

    Args:
        outputs: Any pytree that a module returned.

    Returns:
        Plain lists, tuples and dicts of arrays; a leaf that is no array is in a `StaticLeaf`, an
        object of another class `Sealed`.

    Example:

    ```python
    >>> unwrap_statics(wrap_statics({"name": "relu"}))
    {'name': 'relu'}

    ```
    """
    if isinstance(outputs, StaticLeaf | Sealed | KeyData) or outputs is None:
        return outputs
    kind = type(outputs)
    if kind in (list, tuple):
        return kind(map(wrap_statics, outputs))
    if kind is dict and all(type(key) is str for key in outputs):
        return {key: wrap_statics(value) for key, value in outputs.items()}
    taken = take_apart(outputs)
    leaves, treedef = jax.tree_util.tree_flatten(taken)
    if jax.tree_util.treedef_is_leaf(treedef):
        return taken if is_array(taken) else StaticLeaf(taken)
    if isinstance(taken, KeyData):
        return taken
    return Sealed(treedef, [leaf if is_array(leaf) else StaticLeaf(leaf) for leaf in leaves])


def unwrap_statics(outputs: Any) -> Any:
    """Undoes `wrap_statics`.

    Args:
        outputs: Any pytree.

    Returns:
        The pytree with the values of its `StaticLeaf` leaves, and its sealed objects.
    """
    kind = type(outputs)
    if kind in (list, tuple):
        return kind(map(unwrap_statics, outputs))
    if kind is dict:
        return {key: unwrap_statics(value) for key, value in outputs.items()}
    if kind is StaticLeaf:
        return outputs.value
    if kind is KeyData:
        return put_together(outputs)
    return outputs.open() if kind is Sealed else outputs


def has_sealed(wrapped: Any) -> bool:
    """Tells whether there is an object of a user's class in outputs that `wrap_statics` gave."""
    nodes = jax.tree_util.tree_leaves(wrapped, is_leaf=lambda node: isinstance(node, Sealed))
    return any(isinstance(node, Sealed) for node in nodes)


@dataclass(frozen=True)
class _Place:
    index: int


@dataclass(frozen=True)
class Outline:
    """The form of outputs: what is in them but the arrays.

    Attributes:
        form: The outputs without objects of users' classes, a place for each array.
        wrapped: The outputs as `wrap_statics` gives them, a place for each array.
    """

    form: Any
    wrapped: Any

    def fill(self, arrays: Sequence[Any]) -> Any:
        """Returns outputs of this form; no constructor of a user's class runs.

        Args:
            arrays: One for each array, in the order of `jax.tree_util`.
        """
        if self.form is None:
            treedef = jax.tree_util.tree_structure(self.wrapped)
            return unwrap_statics(jax.tree_util.tree_unflatten(treedef, list(arrays)))
        return _filled(self.form, arrays)


def outline_outputs(wrapped: Any) -> Outline:
    """Returns the form of outputs.

    Args:
        wrapped: What `wrap_statics` returned, abstract or not.

    Example:

    ```python
    >>> import numpy as np
    >>> outline = outline_outputs(wrap_statics((np.ones(2), "relu")))
    >>> outline.fill([7])
    (7, 'relu')

    ```
    """
    leaves, treedef = jax.tree_util.tree_flatten(wrapped)
    forms: list[Any] = []

    def trace(leaves: list[Any]) -> None:
        # A class of the user's gets what it gets from the module when that is traced.
        forms.append(_Outlining(leaves).run(jax.tree_util.tree_unflatten(treedef, leaves)))

    jax.eval_shape(trace, leaves)
    count = len(leaves)
    complete = sorted(_places(forms[0])) == list(range(count))
    # Else an object does not hold what it was made of, and has to be made of the arrays.
    places = jax.tree_util.tree_unflatten(treedef, [_Place(index) for index in range(count)])
    return Outline(forms[0] if complete else None, places)


class _Outlining:
    def __init__(self, leaves: Sequence[Any]) -> None:
        self._places = {id(leaf): _Place(index) for index, leaf in enumerate(leaves)}
        self._above: list[int] = []

    def run(self, value: Any) -> Any:
        if id(value) in self._places:
            return self._places[id(value)]
        kind = type(value)
        if kind is StaticLeaf:
            return value.value
        if kind is KeyData:
            return self.run(value.data)
        if kind is Sealed:
            return self.run(value.flat_object())
        if kind in (list, tuple):
            return kind(map(self.run, value))
        if kind is dict:
            return {key: self.run(part) for key, part in value.items()}
        if kind is not Container and not _is_object(value):
            return value
        return self._object(value)

    def _object(self, value: Any) -> Any:
        if id(value) in self._above:  # in itself
            return value
        parts = value if isinstance(value, Container) else Container.of(value)
        self._above.append(id(value))
        children = [self.run(part) for part in parts.children]
        self._above.pop()
        return parts.with_children(children)


def _is_object(value: Any) -> bool:
    if value is None or isinstance(value, type):
        return False
    return is_container(value) or not jax.tree_util.all_leaves([value])


def _parts_of(form: Any) -> Sequence[Any]:
    if isinstance(form, Container):
        return form.children
    if type(form) is dict:
        return list(form.values())
    return form if type(form) in (list, tuple) else ()


def _places(form: Any) -> set[int]:
    if isinstance(form, _Place):
        return {form.index}
    return set().union(*map(_places, _parts_of(form)))


def _filled(form: Any, arrays: Sequence[Any]) -> Any:
    if isinstance(form, _Place):
        return arrays[form.index]
    parts = [_filled(part, arrays) for part in _parts_of(form)]
    if isinstance(form, Container):
        return form.with_children(parts).build()
    if type(form) is dict:
        return dict(zip(form, parts, strict=True))
    return type(form)(parts) if type(form) in (list, tuple) else form
