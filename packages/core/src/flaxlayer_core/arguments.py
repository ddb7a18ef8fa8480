"""Call arguments: arrays go through the compiled function, all else is in its key (A1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from flaxlayer_core.errors import CallArgumentError

__all__ = [
    "ArgumentStructure",
    "StaticLeaf",
    "is_array",
    "split_arguments",
    "unwrap_statics",
    "wrap_statics",
]


def is_array(value: Any) -> bool:
    """Tells whether a leaf is an array: concrete, traced, or abstract.

    Args:
        value: Any leaf of a call's arguments.

    Returns:
        True for what has a shape and a dtype (JAX and NumPy arrays, tracers, `ShapeDtypeStruct`,
        Keras tensors); dtypes and scalar types are not arrays.

    Example:

    ```python
    >>> import jax.numpy as jnp
    >>> is_array(jnp.ones(3)), is_array(3.0), is_array(jnp.float32)
    (True, False, False)

    ```
    """
    if isinstance(value, jax.Array):
        return True
    return hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, type)


def _identity(value: Any) -> tuple[type, Any]:
    # 1 == True == 1.0 and 0.0 == -0.0, yet they make different programs.
    if isinstance(value, float):
        return type(value), value.hex()
    if isinstance(value, complex):
        return type(value), (value.real.hex(), value.imag.hex())
    return type(value), value


def _unhashable(value: Any) -> str:
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return ""


@dataclass(frozen=True, eq=False)
class ArgumentStructure:
    """The static side of a call: the tree of its arguments and the leaves that are not arrays.

    Two structures are equal when a program compiled for one is right for the other.

    Attributes:
        treedef: The structure of `(args, kwargs)`.
        statics: `(position, value)` of each leaf that is not an array.
    """

    treedef: jax.tree_util.PyTreeDef
    statics: tuple[tuple[int, Any], ...]

    def __post_init__(self) -> None:
        identity = tuple((index, *_identity(value)) for index, value in self.statics)
        try:
            digest = hash((self.treedef, identity))
        except TypeError as error:
            raise CallArgumentError(
                "A call got an argument that is neither an array nor hashable.",
                expected="arrays, or hashable values (str, bool, int, float, enum, callable)",
                found=", ".join(filter(None, (_unhashable(value) for _, value in self.statics))),
                fix="Pass arrays as arrays and settings as hashable values.",
                law="A1",
            ) from error
        object.__setattr__(self, "_identity", identity)
        object.__setattr__(self, "_hash", digest)

    def __hash__(self) -> int:
        return self._hash  # type: ignore[attr-defined, no-any-return]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ArgumentStructure):
            return NotImplemented
        same: bool = self._identity == other._identity  # type: ignore[attr-defined]
        return same and bool(self.treedef == other.treedef)

    def skeleton(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns the arguments with None for each of their leaves."""
        args, kwargs = jax.tree_util.tree_unflatten(self.treedef, [None] * self.treedef.num_leaves)
        return args, kwargs

    def merge(self, arrays: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Puts arrays back into their places.

        Args:
            arrays: As many as `split_arguments` returned, in its order.

        Returns:
            The positional and the keyword arguments of the call.
        """
        leaves = list(arrays)
        for index, value in self.statics:
            leaves.insert(index, value)
        args, kwargs = jax.tree_util.tree_unflatten(self.treedef, leaves)
        return args, kwargs


def split_arguments(
    args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[list[Any], ArgumentStructure]:
    """Splits the arguments of a call into arrays and static structure (A1).

    Args:
        args: Positional arguments, any pytrees.
        kwargs: Keyword arguments, any pytrees.

    Returns:
        The arrays in the order of the tree, and the hashable rest; `structure.merge(arrays)`
        gives back the arguments.

    Raises:
        CallArgumentError: If a leaf is neither an array nor hashable.

    Example:

    ```python
    >>> import numpy as np
    >>> arrays, structure = split_arguments((np.ones(2), "relu"), {"scale": None})
    >>> len(arrays), structure.statics
    (1, ((1, 'relu'),))
    >>> structure.merge(arrays)[0][1]
    'relu'

    ```
    """
    leaves, treedef = jax.tree_util.tree_flatten((args, dict(kwargs)))
    arrays: list[Any] = []
    statics: list[tuple[int, Any]] = []
    for index, leaf in enumerate(leaves):
        if is_array(leaf):
            arrays.append(leaf)
        else:
            statics.append((index, leaf))
    return arrays, ArgumentStructure(treedef, tuple(statics))


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


def wrap_statics(outputs: Any) -> Any:
    """Makes outputs that are not arrays pass through a JAX transformation (A5).

    Args:
        outputs: Any pytree that a module returned.

    Returns:
        The pytree with each leaf that is no array in a `StaticLeaf`.

    Example:

    ```python
    >>> unwrap_statics(wrap_statics({"name": "relu"}))
    {'name': 'relu'}

    ```
    """
    return jax.tree_util.tree_map(
        lambda leaf: leaf if is_array(leaf) else StaticLeaf(leaf), outputs
    )


def unwrap_statics(outputs: Any) -> Any:
    """Undoes `wrap_statics`.

    Args:
        outputs: Any pytree.

    Returns:
        The pytree with the values of its `StaticLeaf` leaves.
    """
    return jax.tree_util.tree_map(
        lambda leaf: leaf.value if isinstance(leaf, StaticLeaf) else leaf,
        outputs,
        is_leaf=lambda leaf: isinstance(leaf, StaticLeaf),
    )
