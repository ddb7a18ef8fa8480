"""Outputs of a module as trees that a JAX transformation can carry (A5).

A transformation makes the trees that pass through it anew, from whatever it has at that time:
placeholders, abstract arrays. The classes of users must not see those, as their constructors may
look at their fields. So an object of such a class travels sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax

from flaxlayer_core.trees.array_types import is_array
from flaxlayer_core.trees.parts import KeyData, put_outputs_together, take_apart
from flaxlayer_core.typing import Array, Leaf, PyTree, Shaped

__all__ = [
    "Sealed",
    "Static",
    "has_sealed",
    "unwrap_statics",
    "wrap_statics",
]


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True)
class Static:
    """A value in a tree of outputs that is no array: part of the structure, not a leaf (A5).

    Attributes:
        value: The value, such as a string that the module returned.
    """

    value: Leaf

    def tree_flatten(self) -> tuple[tuple[()], Leaf]:
        """Has no children: the value is structure."""
        return (), self.value

    @classmethod
    def tree_unflatten(cls, value: object, children: Sequence[object]) -> Static:
        """Makes the leaf again from the structure."""
        del children
        return cls(value)


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True, eq=False)
class Sealed:
    """An object of a user's class among outputs, flat: it is made again at the end only.

    Attributes:
        treedef: Its structure.
        leaves: Arrays, and static values in a `Static`.
    """

    treedef: jax.tree_util.PyTreeDef
    leaves: Sequence[Array]

    def flat_object(self) -> PyTree:
        """Returns the object, with what `take_apart` took apart in it."""
        leaves = [leaf.value if isinstance(leaf, Static) else leaf for leaf in self.leaves]
        return jax.tree_util.tree_unflatten(self.treedef, leaves)

    def open(self) -> PyTree:
        """Makes the object of its leaves."""
        return put_outputs_together(self.flat_object())

    def tree_flatten(self) -> tuple[tuple[Array, ...], PyTree]:
        """Has the leaves as children."""
        return tuple(self.leaves), self.treedef

    @classmethod
    def tree_unflatten(cls, treedef: object, leaves: Sequence[Shaped]) -> Sealed:
        """Makes the node again; the object stays closed."""
        return cls(treedef, tuple(leaves))


def wrap_statics(outputs: PyTree) -> PyTree:
    """Makes any outputs pass through a JAX transformation (A5).

    Args:
        outputs: Any pytree that a module returned.

    Returns:
        Plain lists, tuples and dicts of arrays; a leaf that is no array is in a `Static`, an
        object of another class `Sealed`.

    Example:

    ```python
    >>> unwrap_statics(wrap_statics({"name": "relu"}))
    {'name': 'relu'}

    ```
    """
    if isinstance(outputs, Static | Sealed | KeyData) or outputs is None:
        return outputs
    kind = type(outputs)
    if kind in (list, tuple):
        return kind(map(wrap_statics, outputs))
    if kind is dict and all(type(key) is str for key in outputs):
        return {key: wrap_statics(value) for key, value in outputs.items()}
    taken = take_apart(outputs)
    leaves, treedef = jax.tree_util.tree_flatten(taken)
    if jax.tree_util.treedef_is_leaf(treedef):
        return taken if is_array(taken) else Static(taken)
    if isinstance(taken, KeyData):
        return taken
    return Sealed(treedef, [leaf if is_array(leaf) else Static(leaf) for leaf in leaves])


def unwrap_statics(outputs: PyTree) -> PyTree:
    """Undoes `wrap_statics`.

    Args:
        outputs: Any pytree.

    Returns:
        The pytree with the values of its `Static` leaves, and its sealed objects.
    """
    kind = type(outputs)
    if kind in (list, tuple):
        return kind(map(unwrap_statics, outputs))
    if kind is dict:
        return {key: unwrap_statics(value) for key, value in outputs.items()}
    if kind is Static:
        return outputs.value
    if kind is KeyData:
        return put_outputs_together(outputs)
    return outputs.open() if kind is Sealed else outputs


def has_sealed(wrapped: object) -> bool:
    """Tells whether there is an object of a user's class in outputs that `wrap_statics` gave."""
    nodes = jax.tree_util.tree_leaves(wrapped, is_leaf=lambda node: isinstance(node, Sealed))
    return any(isinstance(node, Sealed) for node in nodes)
