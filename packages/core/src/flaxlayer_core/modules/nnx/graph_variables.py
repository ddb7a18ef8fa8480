"""The variables of an nnx module, each with its type, its stream and its paths (C1, R1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax
from flax import nnx

from flaxlayer_core.compat.private_nnx import variable_axes, variable_value
from flaxlayer_core.trees.paths import key_name
from flaxlayer_core.trees.roles import Role
from flaxlayer_core.typing import MeshAxes, Path

__all__ = ["ARRAYS", "GraphVariable", "collection_of", "role_of", "state_variables"]

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


@dataclass(frozen=True)
class GraphVariable:
    """One variable of a module, or one array that is in none.

    Attributes:
        path: Its collection, and its names in the module.
        variable_type: Its type; None for an array that is in no variable.
        stream: The name of its random stream, where it belongs to one.
        treedef: The structure of its value, which is an array mostly.
        paths: The paths of the arrays of its value.
        axes: The mesh axis of each dimension by its metadata, if it has some.
    """

    path: Path
    variable_type: type | None
    stream: str | None
    treedef: jax.tree_util.PyTreeDef
    paths: tuple[Path, ...]
    axes: MeshAxes | None = None

    @property
    def is_rng(self) -> bool:
        """Whether it belongs to a random stream, which is neither weight nor saved."""
        return self.variable_type is not None and issubclass(self.variable_type, nnx.RngState)

    @property
    def is_param(self) -> bool:
        """Whether it is a `Param` of any kind."""
        return self.variable_type is not None and issubclass(self.variable_type, nnx.Param)


def _is_variable(value: object) -> bool:
    return isinstance(value, nnx.Variable)


def state_variables(state: object) -> Iterator[GraphVariable]:
    """Yields the variables of what `nnx.split` returned as a state, in the order of its tree."""
    nodes = jax.tree_util.tree_flatten_with_path(state, is_leaf=_is_variable)[0]
    for entries, node in nodes:
        path = tuple(part for entry in entries for part in _parts(entry))
        kind, stream, value, axes = None, None, node, None
        if _is_variable(node):
            kind, value, axes = type(node), variable_value(node), variable_axes(node)
            stream = node.tag if isinstance(node, nnx.RngState) else None
        path = (ARRAYS if kind is None else collection_of(kind), *path)
        inside, treedef = jax.tree_util.tree_flatten_with_path(value)
        paths = tuple((*path, *map(key_name, inner)) for inner, _ in inside)
        yield GraphVariable(path, kind, stream, treedef, paths, axes)


def _parts(entry: object) -> Sequence[str]:
    # SpectralNorm keeps its statistics by paths, which are tuples.
    key = getattr(entry, "key", None)
    return [str(part) for part in key] if isinstance(key, tuple) else [key_name(entry)]
