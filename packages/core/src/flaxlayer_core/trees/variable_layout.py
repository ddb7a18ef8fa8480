"""The stored variables of a module, described one by one, and their tree (C1, C6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer_core.compat.private_jax import key_impl
from flaxlayer_core.trees.paths import flatten_with_paths
from flaxlayer_core.trees.roles import OVERWRITE_WITH_GRADIENT, Role
from flaxlayer_core.typing import Array, DType, Path, PyTree, Shaped, Size, Variables

__all__ = ["VariableLayout", "VariableSpec", "placeholder"]


@dataclass(frozen=True)
class VariableSpec:
    """One variable: where it stands and what it holds.

    Attributes:
        path: Names from the collection down.
        shape: Its shape; dimensions may be symbolic before a layer is built.
        dtype: The dtype that the module gave it; for typed keys, of their key data.
        key_impl: For typed PRNG keys the name of their implementation, else None (C6).
    """

    path: Path
    shape: tuple[Size, ...]
    dtype: DType
    key_impl: str | None = None

    @classmethod
    def from_leaf(cls, path: Path, leaf: Shaped) -> VariableSpec:
        """Describes an array or a `ShapeDtypeStruct`."""
        if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data, impl = _describe_key(leaf)
            return cls(path, tuple(data.shape), np.dtype(data.dtype), impl)
        return cls(path, tuple(leaf.shape), np.dtype(leaf.dtype))

    @property
    def differentiable(self) -> bool:
        """Whether a gradient with respect to it exists (C6)."""
        return jax.numpy.issubdtype(self.dtype, jax.numpy.inexact)

    def store(self, leaf: Array) -> Shaped:
        """Turns a module's value into what is stored."""
        return jax.random.key_data(leaf) if self.key_impl else leaf

    def restore(self, value: PyTree) -> Array:
        """Turns what is stored into the module's value."""
        return jax.random.wrap_key_data(value, impl=self.key_impl) if self.key_impl else value

    def __str__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"


def _describe_key(leaf: Shaped) -> tuple[jax.ShapeDtypeStruct, str]:
    impls: list[str] = []

    def trace(key: jax.Array) -> jax.Array:
        # key_impl reads the dtype only, yet it takes arrays and not ShapeDtypeStruct.
        impls.append(key_impl(key))
        return jax.random.key_data(key)

    data: jax.ShapeDtypeStruct = jax.eval_shape(trace, leaf)
    return data, impls[0]


@dataclass(frozen=True)
class VariableLayout:
    """The stored variables of a module, flat, and the tree that they come from.

    Attributes:
        specs: One for each stored array, in the order of `jax.tree_util`.
        treedef: The tree of all stored collections, boxes included.
        roles: The role of each collection, transient ones too.
    """

    specs: tuple[VariableSpec, ...]
    treedef: jax.tree_util.PyTreeDef
    roles: tuple[tuple[str, Role], ...]

    @classmethod
    def from_variables(cls, variables: Variables, roles: Mapping[str, Role]) -> VariableLayout:
        """Describes a tree of arrays or of `ShapeDtypeStruct`."""
        pairs, treedef = flatten_with_paths(dict(variables))
        specs = tuple(VariableSpec.from_leaf(path, leaf) for path, leaf in pairs)
        return cls(specs, treedef, tuple(sorted(roles.items())))

    @property
    def paths(self) -> list[Path]:
        """Paths of the stored variables."""
        return [spec.path for spec in self.specs]

    @property
    def transient(self) -> frozenset[str]:
        """Collections that were seen and are not stored."""
        return frozenset(name for name, role in self.roles if role is Role.TRANSIENT)

    def role(self, collection: str) -> Role:
        """Returns the role of a collection; one never seen is transient."""
        return dict(self.roles).get(collection, Role.TRANSIENT)

    def optimizes(self, spec: VariableSpec) -> bool:
        """Tells whether an optimizer moves a variable; a policy may then change its dtype (A7)."""
        collection = spec.path[0]
        return self.role(collection) is Role.TRAINABLE and collection != OVERWRITE_WITH_GRADIENT

    def unflatten(self, values: list[Array]) -> dict[str, PyTree]:
        """Puts stored values back into the tree that `Module.apply` takes."""
        leaves = [spec.restore(value) for spec, value in zip(self.specs, values, strict=True)]
        tree: dict[str, PyTree] = jax.tree_util.tree_unflatten(self.treedef, leaves)
        return tree


def placeholder(described: Shaped) -> Array:
    """Returns zeros, or a key of zeros, in the place of a value that is not known.

    Args:
        described: Shape and dtype of the value.
    """
    spec = VariableSpec.from_leaf((), described)
    return spec.restore(jnp.zeros(spec.shape, spec.dtype))
