"""Call arguments: arrays go through the compiled function, all else is in its key (A1)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np

from flaxlayer_core.errors import CallArgumentError
from flaxlayer_core.trees.array_types import is_array
from flaxlayer_core.trees.parts import has_parts, is_hashable, put_together, take_apart, whole_path
from flaxlayer_core.trees.paths import key_name
from flaxlayer_core.typing import Args, Array, Kwargs, Leaf, PyTree, Shaped

__all__ = ["ArgumentStructure", "partition"]

_NUMBERS = (float, complex)
# What needs no look inside.
_PLAIN = (jax.Array, np.ndarray)


def _identity(value: object) -> tuple[type, Leaf]:
    # 1 == True == 1.0 and 0.0 == -0.0, yet they make different programs.
    if isinstance(value, float):
        return type(value), value.hex()
    if isinstance(value, complex):
        return type(value), (value.real.hex(), value.imag.hex())
    return type(value), value


def _unhashable(value: object) -> str:
    return "" if is_hashable(value) else repr(value)


@dataclass(frozen=True, eq=False)
class ArgumentStructure:
    """The static side of a call: the tree of its arguments and the leaves that are not arrays.

    Two structures are equal when a program compiled for one is right for the other.

    Attributes:
        treedef: The structure of `(args, kwargs)`.
        statics: `(position, value)` of each leaf that is not an array.
        numbers: `(position, type)` of each leaf that is a number of Python and stands among the
            arrays, to be traced.
        apart: Whether there are values in the tree that were taken apart.
        positional: How many positional arguments there are.
        names: The names of the keyword arguments.
        stored: Whether it was read from a file, whose names are not handed to a layer (S2).
    """

    treedef: jax.tree_util.PyTreeDef
    statics: tuple[tuple[int, Leaf], ...]
    numbers: tuple[tuple[int, type], ...] = ()
    apart: bool = False
    positional: int = 0
    names: tuple[str, ...] = ()
    stored: bool = False

    def __post_init__(self) -> None:
        identity = tuple((index, *_identity(value)) for index, value in self.statics)
        try:
            digest = hash((self.treedef, identity, self.numbers))
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
        return same and self.numbers == other.numbers and bool(self.treedef == other.treedef)

    def skeleton(self) -> tuple[Args, dict[str, PyTree]]:
        """Returns the arguments with None for each of them."""
        return (None,) * self.positional, dict.fromkeys(self.names)

    def combine(self, arrays: Sequence[Array]) -> tuple[Args, dict[str, PyTree]]:
        """Puts arrays back into their places.

        Args:
            arrays: As many as `partition` returned, in its order.

        Returns:
            The positional and the keyword arguments of the call.
        """
        call = self.unflatten(arrays)
        args, kwargs = put_together(call) if self.apart else call
        return args, kwargs

    def unflatten(self, arrays: Sequence[Shaped]) -> PyTree:
        """Puts arrays back into their places; what was taken apart stays so."""
        return jax.tree_util.tree_unflatten(self.treedef, self._leaves(arrays))

    def places(self, arrays: Sequence[Shaped], names: Sequence[str]) -> list[str]:
        """Names the place of each array, as one would write it.

        Args:
            arrays: As `partition` returned them, or what describes them.
            names: The names of the positional arguments.

        Example:

        ```python
        >>> import numpy as np
        >>> args, kwargs = ({"a": np.ones(2), "b": "relu"},), {"scale": np.ones(1)}
        >>> arrays, structure = partition(args, kwargs)
        >>> structure.places(arrays, ["x"])
        ["x['a']", 'scale']

        ```
        """
        leaves = jax.tree_util.tree_flatten_with_path(self.unflatten(arrays))[0]
        fixed = {index for index, _ in self.statics}
        return [
            _place(whole_path(keys), names)
            for index, (keys, _) in enumerate(leaves)
            if index not in fixed
        ]

    def _leaves(self, arrays: Sequence[Shaped]) -> list[Leaf]:
        # In the order of the tree.
        leaves = list(arrays)
        for index, value in self.statics:
            leaves.insert(index, value)
        return leaves

    def number_positions(self) -> tuple[int, ...]:
        """Returns where the traced numbers stand among the arrays."""
        before = [index for index, _ in self.statics]
        return tuple(index - bisect_left(before, index) for index, _ in self.numbers)

    def trace_numbers(self, arrays: Sequence[Shaped]) -> tuple[list[Array], ArgumentStructure]:
        """Puts numbers of Python among the arrays, so that one program serves all of them (A1).

        Args:
            arrays: As `partition` returned them.

        Returns:
            Arrays and numbers in the order of the tree, and the structure without the numbers.

        Example:

        ```python
        >>> arrays, structure = partition((0.5, "relu"), {})
        >>> structure.trace_numbers(arrays)[0]
        [0.5]

        ```
        """
        numbers = [(i, value) for i, value in self.statics if type(value) in _NUMBERS]
        if not numbers:
            return list(arrays), self
        leaves = self._leaves(arrays)
        statics = tuple((i, value) for i, value in self.statics if type(value) not in _NUMBERS)
        kinds = tuple((index, type(value)) for index, value in numbers)
        structure = replace(self, statics=statics, numbers=kinds)
        fixed = {index for index, _ in statics}
        return [leaf for i, leaf in enumerate(leaves) if i not in fixed], structure

    def fix_numbers(self, arrays: Sequence[Shaped]) -> tuple[list[Array], ArgumentStructure]:
        """Undoes `trace_numbers`.

        Args:
            arrays: Arrays, and numbers of Python.

        Returns:
            The arrays, and the structure with the numbers as static values.
        """
        places = self.number_positions()
        if not places:
            return list(arrays), self
        found = [(i, arrays[place]) for (i, _), place in zip(self.numbers, places, strict=True)]
        statics = tuple(sorted((*self.statics, *found), key=lambda pair: pair[0]))
        structure = replace(self, statics=statics, numbers=())
        return [array for i, array in enumerate(arrays) if i not in places], structure


def partition(
    args: Args, kwargs: Kwargs, *, trace_numbers: bool = False
) -> tuple[list[Array], ArgumentStructure]:
    """Splits the arguments of a call into arrays and static structure (A1).

    Args:
        args: Positional arguments, any pytrees.
        kwargs: Keyword arguments, any pytrees.
        trace_numbers: Whether numbers of Python stand among the arrays, as
            `ArgumentStructure.trace_numbers` puts them there.

    Returns:
        The arrays in the order of the tree, and the hashable rest; `structure.combine(arrays)`
        gives back the arguments.

    Raises:
        CallArgumentError: If a leaf is neither an array nor hashable.

    Example:

    ```python
    >>> import numpy as np
    >>> arrays, structure = partition((np.ones(2), "relu"), {"scale": None})
    >>> len(arrays), structure.statics
    (1, ((1, 'relu'),))
    >>> structure.combine(arrays)[0][1]
    'relu'

    ```
    """
    call: PyTree = (args, dict(kwargs))
    apart = False
    if kwargs or _need_a_look(args):
        call = take_apart(call)
        apart = has_parts(call)
    leaves, treedef = jax.tree_util.tree_flatten(call)
    arrays: list[Array] = []
    statics: list[tuple[int, Leaf]] = []
    numbers: list[tuple[int, type]] = []
    for index, leaf in enumerate(leaves):
        if is_array(leaf):
            arrays.append(leaf)
        elif trace_numbers and type(leaf) in _NUMBERS:
            arrays.append(leaf)
            numbers.append((index, type(leaf)))
        else:
            statics.append((index, leaf))
    structure = ArgumentStructure(
        treedef, tuple(statics), tuple(numbers), apart, len(args), tuple(kwargs)
    )
    return arrays, structure


def _place(keys: tuple[Leaf, ...], names: Sequence[str]) -> str:
    # First whether it is of the positional arguments, then which.
    _, argument, *inside = keys
    index = getattr(argument, "idx", None)
    name = key_name(argument) if index is None else names[index]
    return name + jax.tree_util.keystr(tuple(inside))


def _need_a_look(args: Args) -> bool:
    return not all(
        (isinstance(arg, _PLAIN) and isinstance(arg.dtype, np.dtype)) or type(arg) is float
        for arg in args
    )
