"""An nnx module taken apart: its graph, which is static, and its arrays by collection and path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from flaxlayer_core.collections import Role, VariableSpec
from flaxlayer_core.compat import variable_value
from flaxlayer_core.errors import AcceptModuleError
from flaxlayer_core.paths import Path, format_path, key_name

__all__ = ["ARRAYS", "GraphForm", "collection_of", "flatten_tree", "nest_leaves", "role_of"]

ARRAYS = "arrays"


def collection_of(variable_type: type) -> str:
    """Returns the collection of a type of variable: the name that Flax has for it, else its own.

    Args:
        variable_type: A subclass of `nnx.Variable`.

    Returns:
        Such as `"params"` for `nnx.Param`.

    Example:

    ```python
    >>> collection_of(nnx.BatchStat), collection_of(nnx.LoRAParam)
    ('batch_stats', 'LoRAParam')

    ```
    """
    try:
        return nnx.variable_name_from_type(variable_type)
    except ValueError:  # not registered
        return variable_type.__name__


def role_of(variable_type: type) -> Role | None:
    """Returns the role that a type of variable has by itself, None where calls must tell (C2)."""
    if issubclass(variable_type, nnx.Param):
        return Role.TRAINABLE
    passing = (nnx.Intermediate, nnx.Perturbation)
    return Role.TRANSIENT if issubclass(variable_type, passing) else None


def nest_leaves(leaves: Mapping[Path, Any]) -> dict[str, Any]:
    """Returns leaves by path as a nested tree.

    Example:

    ```python
    >>> nest_leaves({("params", "a", "kernel"): 1, ("params", "b"): 2})
    {'params': {'a': {'kernel': 1}, 'b': 2}}

    ```
    """
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        inner = tree
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = leaf
    return tree


def flatten_tree(tree: Mapping[Any, Any], above: Path = ()) -> dict[Path, Any]:
    """Undoes `nest_leaves`; the keys of the tree may be numbers, as in a list of modules."""
    leaves: dict[Path, Any] = {}
    for name, value in tree.items():
        path = (*above, str(name))
        leaves |= flatten_tree(value, path) if isinstance(value, Mapping) else {path: value}
    return leaves


@dataclass(frozen=True)
class GraphLeaf:
    """One array of a module.

    Attributes:
        path: Its collection, and its names in the module.
        variable_type: The type of its variable; None for an array that is in none.
        stream: The name of its random stream, where it belongs to one.
    """

    path: Path
    variable_type: type | None
    stream: str | None = None

    @property
    def is_rng(self) -> bool:
        """Whether it belongs to a random stream, which is neither weight nor saved."""
        return self.variable_type is not None and issubclass(self.variable_type, nnx.RngState)

    @property
    def is_param(self) -> bool:
        """Whether it is a `Param` of any kind."""
        return self.variable_type is not None and issubclass(self.variable_type, nnx.Param)


@dataclass(frozen=True, eq=False)
class GraphForm:
    """What is static in a module: its graph, and where its arrays stand.

    Attributes:
        graphdef: The graph, as `nnx.split` returns it.
        treedef: The tree of its state.
        leaves: The arrays, in the order of the tree.
        rng_specs: Keys and counts of random streams, described.
    """

    graphdef: Any
    treedef: jax.tree_util.PyTreeDef
    leaves: tuple[GraphLeaf, ...]
    rng_specs: Mapping[Path, Any] = field(default_factory=dict)

    @classmethod
    def from_module(cls, module: nnx.Module) -> tuple[GraphForm, dict[Path, Any]]:
        """Takes a module apart.

        Args:
            module: A module; it is not changed.

        Returns:
            The form, and the arrays by path, those of random streams included.

        Raises:
            AcceptModuleError: If two arrays have the same path.
        """
        graphdef, state = nnx.split(module)
        values, treedef = jax.tree_util.tree_flatten(state)
        leaves = tuple(_leaves(state))
        found = {leaf.path: value for leaf, value in zip(leaves, values, strict=True)}
        if len(found) < len(leaves):
            paths = [leaf.path for leaf in leaves]
            twice = next(path for path in paths if paths.count(path) > 1)
            raise AcceptModuleError(
                f"FlaxLayer cannot tell two arrays of {type(module).__name__} apart.",
                expected="a path of its own for each variable",
                found=f"{format_path(twice)!r} twice",
                fix="Rename one of the attributes, or the class of one of the variables.",
                law="W1",
            )
        # Described only: a value may belong to a trace that ends.
        specs = {
            leaf.path: jax.ShapeDtypeStruct(found[leaf.path].shape, found[leaf.path].dtype)
            for leaf in leaves
            if leaf.is_rng
        }
        return cls(graphdef, treedef, leaves, specs), found

    @property
    def paths(self) -> frozenset[Path]:
        """Paths of what is stored or passes by."""
        return frozenset(leaf.path for leaf in self.leaves if not leaf.is_rng)

    def merge(self, values: Mapping[Path, Any], rng_values: Mapping[Path, Any]) -> Any:
        """Makes a module of the graph and of arrays.

        Args:
            values: The arrays by path.
            rng_values: Keys and counts of random streams; zeros where none is given.

        Returns:
            A new module.
        """
        arrays = [
            rng_values.get(leaf.path, _placeholder(self.rng_specs[leaf.path]))
            if leaf.is_rng
            else values[leaf.path]
            for leaf in self.leaves
        ]
        return nnx.merge(self.graphdef, jax.tree_util.tree_unflatten(self.treedef, arrays))


def _is_variable(value: Any) -> bool:
    return isinstance(value, nnx.Variable)


def _leaves(state: Any) -> Iterator[GraphLeaf]:
    nodes = jax.tree_util.tree_flatten_with_path(state, is_leaf=_is_variable)[0]
    for entries, node in nodes:
        path = tuple(part for entry in entries for part in _parts(entry))
        if not _is_variable(node):
            yield GraphLeaf((ARRAYS, *path), None)
            continue
        inside = jax.tree_util.tree_flatten_with_path(variable_value(node))[0]
        for inner, _ in inside:
            below = tuple(part for entry in inner for part in _parts(entry))
            stream = node.tag if isinstance(node, nnx.RngState) else None
            yield GraphLeaf((collection_of(type(node)), *path, *below), type(node), stream)


def _parts(entry: Any) -> Sequence[str]:
    # SpectralNorm keeps its statistics by paths, which are tuples.
    key = getattr(entry, "key", None)
    return [str(part) for part in key] if isinstance(key, tuple) else [key_name(entry)]


def _placeholder(described: jax.ShapeDtypeStruct) -> Any:
    spec = VariableSpec.from_leaf((), described)
    return spec.restore(jnp.zeros(spec.shape, spec.dtype))
