"""Trees of any values as trees that JAX, Keras and TensorFlow can carry, and back (A1, A5).

Typed keys become their key data, objects of nnx their state, and containers that JAX has no tree
for their items and attributes. What a tree is then made of again is new, and not the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from flaxlayer_core.trees.array_types import is_array
from flaxlayer_core.trees.container_parts import Container, is_container, plain_container
from flaxlayer_core.trees.graph_objects import GraphPart, is_graph_object, merge_graph, split_graph
from flaxlayer_core.trees.variable_layout import VariableSpec
from flaxlayer_core.typing import Array, Leaf, PyTree, Shaped

__all__ = [
    "Apart",
    "KeyData",
    "has_parts",
    "is_hashable",
    "put_outputs_together",
    "put_together",
    "take_apart",
    "whole_path",
]


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True, eq=False)
class KeyData:
    """A typed random key by its data: Keras and TensorFlow have no such dtype.

    Attributes:
        impl: The name of its implementation.
        data: An array of unsigned integers.
    """

    impl: str
    data: Array

    def tree_flatten(self) -> tuple[tuple[Array], str]:
        """Has the data as its child."""
        return (self.data,), self.impl

    @classmethod
    def tree_unflatten(cls, impl: str, children: Sequence[object]) -> KeyData:
        """Makes the node again."""
        return cls(impl, children[0])


@dataclass(frozen=True)
class Inside:
    """A path inside a tree, where JAX has one key.

    Attributes:
        keys: Its keys.
    """

    keys: tuple[Leaf, ...]


def whole_path(keys: Sequence[Leaf]) -> tuple[Leaf, ...]:
    """Returns a key path of JAX as that of the tree that was taken apart."""
    inside = (key.keys if isinstance(key, Inside) else (key,) for key in keys)
    paths = [key for part in inside for key in part]
    # What is taken apart to one array has no name for it.
    return tuple(key for key in paths if not isinstance(key, jax.tree_util.FlattenedIndexKey))


@jax.tree_util.register_pytree_with_keys_class
@dataclass(frozen=True, eq=False)
class Apart:
    """A tree some of whose leaves were taken apart; its classes are made again with the leaves.

    Attributes:
        treedef: The structure of the tree.
        leaves: What stands for its leaves.
    """

    treedef: jax.tree_util.PyTreeDef
    leaves: Sequence[Array]

    def tree_flatten(self) -> tuple[tuple[Array, ...], PyTree]:
        """Has the leaves as children."""
        return tuple(self.leaves), self.treedef

    def tree_flatten_with_keys(self) -> tuple[tuple[tuple[Inside, Array], ...], PyTree]:
        """Has the leaves as children, each under its path in the tree."""
        tree = jax.tree_util.tree_unflatten(self.treedef, self.leaves)
        taken = set(map(id, self.leaves))
        pairs = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda part: id(part) in taken)[
            0
        ]
        paths = [Inside(keys) for keys, _ in pairs]
        return tuple(zip(paths, self.leaves, strict=True)), self.treedef

    @classmethod
    def tree_unflatten(cls, treedef: object, leaves: Sequence[Shaped]) -> Apart:
        """Makes the node again; the tree stays apart."""
        return cls(treedef, tuple(leaves))


def take_apart(tree: PyTree, *, held: Callable[[object], bool] = is_array) -> PyTree:
    """Returns a tree whose leaves are arrays without typed keys, and static values.

    Args:
        tree: Any pytree, of registered classes and of others that hold arrays.
        held: Tells what counts as an array: an object that holds none is a static value.

    Returns:
        What `put_together` makes the tree of again.

    Example:

    ```python
    >>> import types
    >>> taken = take_apart({"key": jax.random.key(0), "point": types.SimpleNamespace(x=np.ones(2))})
    >>> [leaf.dtype.name for leaf in jax.tree_util.tree_leaves(taken)]
    ['uint32', 'float64']
    >>> put_together(taken)["point"].x
    array([1., 1.])

    ```
    """
    taking = _TakingApart(held)
    taken = taking.run(tree)
    taking.finish()
    return taken


class _TakingApart:
    def __init__(self, held: Callable[[object], bool]) -> None:
        self._held = held
        self._objects: list[Leaf] = []
        self._first: GraphPart | None = None

    def run(self, tree: PyTree) -> PyTree:
        leaves, treedef = jax.tree_util.tree_flatten(tree, is_leaf=_is_whole)
        taken = [self._leaf(leaf) for leaf in leaves]
        if all(new is old for new, old in zip(taken, leaves, strict=True)):
            return tree
        return taken[0] if jax.tree_util.treedef_is_leaf(treedef) else Apart(treedef, taken)

    def finish(self) -> None:
        if self._first is not None:
            form, leaves = split_graph(self._objects)
            self._first.form, self._first.leaves = form, [_without_key(leaf) for leaf in leaves]

    def _leaf(self, value: object) -> PyTree:
        if is_graph_object(value):  # first: a variable of nnx can be read as an array
            part = GraphPart(len(self._objects))
            self._objects.append(value)
            self._first = self._first or part
            return part
        if is_array(value):
            return _without_key(value)
        plain = plain_container(value)
        if plain is not value:
            return self.run(plain)
        return self._container(value) if is_container(value) else value

    def _container(self, value: object) -> PyTree:
        before = len(self._objects)
        parts = Container.of(value)
        taken = parts.with_children([self.run(child) for child in parts.children])
        holds = any(map(self._held, jax.tree_util.tree_leaves(taken)))
        # A setting that holds no array is static as a whole.
        return taken if holds or len(self._objects) > before or not is_hashable(value) else value


def _is_whole(value: object) -> bool:
    return is_graph_object(value) or (type(value) is dict and not _is_sortable(value))


def _is_sortable(keys: Iterable[PyTree]) -> bool:
    # JAX sorts the keys of a dict.
    try:
        sorted(keys)
    except TypeError:
        return False
    return True


def is_hashable(value: object) -> bool:
    """Tells whether a value can be part of a key, as static values are."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _without_key(leaf: Array) -> Array:
    if not isinstance(leaf, jax.Array | jax.ShapeDtypeStruct) or isinstance(leaf.dtype, np.dtype):
        return leaf
    if not jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return leaf
    spec = VariableSpec.from_leaf((), leaf)
    assert spec.key_impl is not None
    if isinstance(leaf, jax.Array):
        return KeyData(spec.key_impl, jax.random.key_data(leaf))
    return KeyData(spec.key_impl, jax.ShapeDtypeStruct(spec.shape, spec.dtype))


def has_parts(tree: PyTree) -> bool:
    """Tells whether a tree has anything in it that `put_together` would make again."""
    leaves = jax.tree_util.tree_leaves(tree, is_leaf=_is_part)
    return any(map(_is_part, leaves))


def put_together(tree: PyTree) -> PyTree:
    """Undoes `take_apart`; keys and objects of nnx stay apart whose arrays are not those of JAX.

    Args:
        tree: What `take_apart` returned, with any arrays for its own.

    Returns:
        The tree, of new objects.
    """
    return _PuttingTogether(open_keys=False).run(tree)


def put_outputs_together(tree: PyTree) -> PyTree:
    """Undoes `take_apart` for outputs: a key whose data is no array of JAX is its data."""
    return _PuttingTogether(open_keys=True).run(tree)


class _PuttingTogether:
    def __init__(self, *, open_keys: bool) -> None:
        self._open_keys = open_keys
        self._objects: list[Leaf] | None = None

    def run(self, tree: PyTree) -> PyTree:
        leaves, treedef = jax.tree_util.tree_flatten(tree, is_leaf=_is_part)
        made = [self._part(leaf) for leaf in leaves]
        if all(new is old for new, old in zip(made, leaves, strict=True)):
            return tree
        return jax.tree_util.tree_unflatten(treedef, made)

    def _part(self, value: object) -> PyTree:
        if isinstance(value, Container):
            return value.with_children([self.run(child) for child in value.children]).build()
        if isinstance(value, Apart):
            return jax.tree_util.tree_unflatten(value.treedef, [self.run(v) for v in value.leaves])
        if isinstance(value, KeyData):
            if _is_concrete(value.data):
                # Where there are no unsigned integers, as in torch, signed ones have the bits.
                data = value.data.astype(np.uint32)
                return jax.random.wrap_key_data(data, impl=value.impl)
            return value.data if self._open_keys else value
        return self._object(value) if isinstance(value, GraphPart) else value

    def _object(self, part: GraphPart) -> PyTree:
        if part.form is not None:
            leaves = [self.run(leaf) for leaf in part.leaves]
            if all(map(_is_concrete, leaves)):
                self._objects = merge_graph(part.form, leaves)
        return part if self._objects is None else self._objects[part.index]


def _is_part(value: object) -> bool:
    return isinstance(value, Apart | Container | KeyData | GraphPart)


def _is_concrete(value: object) -> bool:
    return isinstance(value, jax.Array | np.ndarray | np.generic)
