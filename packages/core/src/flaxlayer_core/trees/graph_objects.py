"""Objects of nnx among the arguments of a call, by Flax's graph protocol (A1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax
from flax import nnx

from flaxlayer_core.typing import Array, Leaf, PyTree, Shaped

__all__ = ["GraphPart", "is_graph_object", "merge_graph", "split_graph"]

# Flax 0.12 calls objects Pytree; `nnx.Rngs` is one.
_NAMES = ("Object", "Pytree", "Variable")
_NODES = tuple(getattr(nnx, name) for name in _NAMES if hasattr(nnx, name))


def is_graph_object(value: object) -> bool:
    """Tells whether a value is an object or a variable of nnx.

    Args:
        value: Anything.

    Returns:
        True for modules, `nnx.Rngs`, and variables; False for `nnx.State`, which is a tree of them.
    """
    return isinstance(value, _NODES)


@jax.tree_util.register_pytree_node_class
@dataclass(eq=False)
class GraphPart:
    """The place of an object of nnx; the first of a call holds the arrays of all of them.

    Attributes:
        index: Which of the objects it is.
        form: The graph of all objects and the tree of its state, in the first one.
        leaves: The arrays of that state.
    """

    index: int
    form: PyTree = None
    leaves: Sequence[Array] = ()

    def tree_flatten(self) -> tuple[tuple[Array, ...], PyTree]:
        """Has the arrays as children."""
        return tuple(self.leaves), (self.index, self.form)

    @classmethod
    def tree_unflatten(cls, form: PyTree, leaves: Sequence[Shaped]) -> GraphPart:
        """Makes the node again."""
        index, graph = form
        return cls(index, graph, tuple(leaves))


def split_graph(objects: Sequence[object]) -> tuple[PyTree, list[Array]]:
    """Takes objects of nnx apart together, so that what they share is one thing again.

    Args:
        objects: Modules, `nnx.Rngs`, variables; they are not changed.

    Returns:
        What is static, hashable, and the arrays.
    """
    graph, state = nnx.split(list(objects))
    leaves, treedef = jax.tree_util.tree_flatten(state)
    return (graph, treedef), leaves


def merge_graph(form: PyTree, leaves: Sequence[Shaped]) -> list[Leaf]:
    """Makes new objects of what `split_graph` returned.

    Args:
        form: What is static.
        leaves: Arrays.
    """
    graph, treedef = form
    objects: list[Leaf] = nnx.merge(graph, jax.tree_util.tree_unflatten(treedef, list(leaves)))
    return objects
