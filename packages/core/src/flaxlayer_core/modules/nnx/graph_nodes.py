"""The modules and random streams in an nnx module, found again at the places where they stand (B6).

Flax's walk through a graph asks of each value what it is, of strings and numbers too. All modules
that are merged from one graph have the same nodes at the same places, so that one walk tells them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flax import nnx

from flaxlayer_core.typing import Leaf

__all__ = ["NodePlaces"]

_KINDS = (nnx.Module, nnx.RngStream)


class NodePlaces:
    """Where the modules and random streams of a graph stand.

    Args:
        module: A module of the graph.

    Example:

    ```python
    >>> net = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.Dropout(0.5))
    >>> [type(node).__name__ for node in NodePlaces(net).find(net)]
    ['Linear', 'Dropout', 'List', 'Sequential']

    ```
    """

    def __init__(self, module: nnx.Module) -> None:
        nodes = nnx.iter_graph(module)
        self._places = [(path, type(node)) for path, node in nodes if isinstance(node, _KINDS)]

    def find(self, module: nnx.Module) -> list[Leaf]:
        """Returns the modules and streams of another module of the same graph.

        Args:
            module: The other module.

        Returns:
            The nodes in the order of `nnx.iter_graph`, the module itself as the last.
        """
        known: dict[Sequence[object], Leaf] = {(): module}
        try:
            found = [_node_at(path, known) for path, _ in self._places]
        except (AttributeError, IndexError, KeyError, TypeError):  # a node of another library's
            return _walked(module)
        fits = all(type(node) is kind for node, (_, kind) in zip(found, self._places, strict=True))
        return found if fits else _walked(module)


def _node_at(path: tuple[Leaf, ...], known: dict[Sequence[object], Leaf]) -> Leaf:
    if path not in known:
        parent, name = _node_at(path[:-1], known), path[-1]
        has_items = isinstance(name, int) or isinstance(parent, dict)
        known[path] = parent[name] if has_items else getattr(parent, name)
    return known[path]


def _walked(module: nnx.Module) -> list[Leaf]:
    nodes: Iterable[tuple[object, Leaf]] = nnx.iter_graph(module)
    return [node for _, node in nodes if isinstance(node, _KINDS)]
