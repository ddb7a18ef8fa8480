"""Collections and their roles: what is trained, what is state, what passes by (C1, C2)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import numpy as np
from flax.core import FrozenDict

from flaxlayer_core.compat.private_jax import key_impl
from flaxlayer_core.errors import MatchVariablesError
from flaxlayer_core.trees.paths import flatten_with_paths
from flaxlayer_core.typing import Array, DType, Path, PyTree, Shaped, Size, Variables

__all__ = [
    "CollectionPolicy",
    "Role",
    "VariableLayout",
    "VariableSpec",
    "decide_role",
    "merge_collections",
    "normalize_variables",
    "same_structure",
    "split_collections",
    "wider_dtypes",
]


class Role(enum.StrEnum):
    """What a layer does with a collection (C1)."""

    TRAINABLE = "trainable"
    STATE = "state"
    TRANSIENT = "transient"


@dataclass(frozen=True, kw_only=True)
class CollectionPolicy:
    """Roles by the name of a collection, before what discovery finds (C2).

    The defaults are Flax's own conventions: `params` is what `Module.param` makes, `intermediates`
    and `perturbations` are where `sow` and `perturb` put what belongs to one call.

    Attributes:
        trainable: Collections of trainable weights.
        state: Collections that are stored and written back.
        transient: Collections that are neither stored nor fed back.

    Example:

    ```python
    >>> policy = CollectionPolicy(trainable=("lora",), state=("params",))
    >>> policy.role("params"), policy.role("cache")
    (<Role.STATE: 'state'>, None)

    ```
    """

    trainable: tuple[str, ...] = ("params",)
    state: tuple[str, ...] = ()
    transient: tuple[str, ...] = ("intermediates", "perturbations")

    def role(self, collection: str) -> Role | None:
        """Returns the role that the policy gives a collection, None where it says nothing."""
        if collection in self.state:
            return Role.STATE
        if collection in self.trainable:
            return Role.TRAINABLE
        return Role.TRANSIENT if collection in self.transient else None

    def with_transient(self, *collections: str) -> CollectionPolicy:
        """Returns this policy with more transient collections."""
        return CollectionPolicy(
            trainable=self.trainable,
            state=self.state,
            transient=tuple(dict.fromkeys((*self.transient, *collections))),
        )


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
    def nbytes(self) -> int:
        """Bytes that the variable takes."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize

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

    def unflatten(self, values: list[Array]) -> dict[str, PyTree]:
        """Puts stored values back into the tree that `Module.apply` takes."""
        leaves = [spec.restore(value) for spec, value in zip(self.specs, values, strict=True)]
        tree: dict[str, PyTree] = jax.tree_util.tree_unflatten(self.treedef, leaves)
        return tree


def normalize_variables(variables: PyTree, *, title: str = "variables") -> dict[str, PyTree]:
    """Returns a tree of variables as plain dicts (C1).

    Args:
        variables: A dict or `FrozenDict` of collections.
        title: What to name in an error.

    Returns:
        The same tree of plain dicts; leaves are not copied.

    Raises:
        MatchVariablesError: If it is not a mapping of collections.

    Example:

    ```python
    >>> from flax.core import freeze
    >>> normalize_variables(freeze({"params": {"bias": 1.0}}))
    {'params': {'bias': 1.0}}

    ```
    """
    if not isinstance(variables, Mapping | FrozenDict):
        raise MatchVariablesError(
            f"{title} is not a tree of variables.",
            expected="a mapping of collections, as `Module.init` returns: {'params': {...}}",
            found=type(variables).__name__,
            fix="Pass the whole result of `Module.init`.",
            law="C1",
        )
    return {name: _plain(tree) for name, tree in variables.items()}


def _plain(tree: PyTree) -> PyTree:
    # Whatever mapping a tree is kept in, such as the dict that Keras makes of an attribute.
    if isinstance(tree, Mapping | FrozenDict):
        return {name: _plain(part) for name, part in tree.items()}
    return tree


def split_collections(
    variables: Variables, roles: Mapping[str, Role]
) -> dict[Role, dict[str, PyTree]]:
    """Splits a tree of variables by role; `merge_collections` undoes it (C1).

    Args:
        variables: A tree of collections.
        roles: The role of each; a collection without one is transient.

    Returns:
        A tree for each of the three roles.

    Example:

    ```python
    >>> parts = split_collections({"params": {}, "stats": {"n": 1}}, {"params": Role.TRAINABLE})
    >>> parts[Role.TRANSIENT]
    {'stats': {'n': 1}}

    ```
    """
    parts: dict[Role, dict[str, PyTree]] = {role: {} for role in Role}
    for name, collection in variables.items():
        parts[roles.get(name, Role.TRANSIENT)][name] = collection
    return parts


def merge_collections(parts: Mapping[Role, Mapping[str, object]]) -> dict[str, PyTree]:
    """Joins what `split_collections` split (C1).

    Args:
        parts: A tree for each role.

    Returns:
        One tree of collections.

    Example:

    ```python
    >>> merge_collections({Role.STATE: {"stats": {"n": 1}}})
    {'stats': {'n': 1}}

    ```
    """
    return {name: tree for part in parts.values() for name, tree in part.items()}


def same_structure(left: object, right: object) -> bool:
    """Tells whether two trees agree in structure, shapes and dtypes (C2).

    Args:
        left: A tree of arrays or of `ShapeDtypeStruct`.
        right: Another.

    Returns:
        True if every leaf stands at the same path with the same shape and dtype.

    Example:

    ```python
    >>> import numpy as np
    >>> same_structure({"a": np.ones(2)}, {"a": np.zeros(2)}), same_structure((), (np.ones(2),))
    (True, False)

    ```
    """
    structures: list[PyTree] = [jax.tree_util.tree_structure(tree) for tree in (left, right)]
    if structures[0] != structures[1]:
        return False
    pairs = zip(jax.tree_util.tree_leaves(left), jax.tree_util.tree_leaves(right), strict=True)
    return all(a.shape == b.shape and a.dtype == b.dtype for a, b in pairs)


def wider_dtypes(stored: object, changed: object) -> PyTree | None:
    """Widens the dtypes of a tree to those that a call returned (C2).

    Args:
        stored: A tree of arrays or of `ShapeDtypeStruct`.
        changed: The same tree after a call.

    Returns:
        The stored tree in dtypes that hold both; None where there is nothing to widen, or where
        the trees differ in more.

    Example:

    ```python
    >>> import numpy as np
    >>> wider_dtypes({"n": np.zeros(2, np.int32)}, {"n": np.ones(2, np.float32)})["n"].dtype
    dtype('float32')

    ```
    """
    structures: list[PyTree] = [jax.tree_util.tree_structure(tree) for tree in (stored, changed)]
    before, treedef = jax.tree_util.tree_flatten(stored)
    after = jax.tree_util.tree_leaves(changed)
    if structures[0] != structures[1] or any(
        a.shape != b.shape for a, b in zip(before, after, strict=True)
    ):
        return None
    wider = [_wider(a, b) for a, b in zip(before, after, strict=True)]
    if all(leaf is known for leaf, known in zip(wider, before, strict=True)):
        return None
    return jax.tree_util.tree_unflatten(treedef, wider)


def _wider(stored: PyTree, changed: PyTree) -> PyTree:
    numbers = (np.number, np.bool_)
    for dtype in (stored.dtype, changed.dtype):
        if not any(jax.numpy.issubdtype(dtype, kind) for kind in numbers):
            return stored  # a key has one dtype
    if stored.dtype == changed.dtype:
        return stored
    if jax.numpy.promote_types(stored.dtype, changed.dtype) != changed.dtype:
        return stored
    if isinstance(stored, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(stored.shape, changed.dtype)
    return jax.numpy.asarray(stored, changed.dtype)


def decide_role(*, stable: bool) -> Role:
    """Decides the role of a collection by what calls do with it (C2).

    Args:
        stable: Whether it kept its structure when the result of a call was fed into the next.

    Returns:
        Its role.

    Example:

    ```python
    >>> decide_role(stable=True)
    <Role.STATE: 'state'>

    ```
    """
    return Role.STATE if stable else Role.TRANSIENT
