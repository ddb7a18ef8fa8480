"""Sizes for masked inputs that are all different, so that none equals another by chance (A4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flaxlayer_core.shapes import ArraySpec

__all__ = ["Sizes", "different_sizes"]

Shapes = tuple[tuple[int, ...], ...]

# For unknown dimensions; many strides divide them.
_BATCH, _LENGTH = 2, 16
# More inputs than these are tied all, or none of them, or all but the first.
_MOST_PARTED = 3


@dataclass(frozen=True)
class Sizes:
    """Two choices of shapes for the arrays of a call, which differ in the masked dimensions.

    Attributes:
        first: A shape for each array.
        second: The same with other sizes, for what the first choice cannot tell.
        time_varies: Whether the masked dimensions behind the batch differ from those of the call.
    """

    first: Shapes
    second: Shapes
    time_varies: bool


def different_sizes(
    specs: Sequence[ArraySpec], ranks: Mapping[int, int], taken: Iterable[int] = ()
) -> Iterator[Sizes]:
    """Yields sizes for the arrays of a call, those that tell most first.

    New sizes are multiples of the known ones where a module takes that, because it may divide them;
    then smaller ones, because it may have a greatest one; then those of the call.

    Args:
        specs: The arrays.
        ranks: The number of dimensions of the mask of each masked array, by position.
        taken: Sizes that the module has of itself.

    Yields:
        Choices to try in turn: dimensions that may be independent first, then tied ones.

    Example:

    ```python
    >>> import numpy as np
    >>> spec = ArraySpec((None, 4, 4), np.dtype("float32"))
    >>> sizes = next(different_sizes([spec], {0: 2}))
    >>> sizes.first, sizes.second
    (((6, 8, 4),), ((10, 12, 4),))

    ```
    """
    base = [list(_known(spec)) for spec in specs]
    used = {size for shape in base for size in shape} | set(taken)
    batch = _batch_members(base, ranks)
    parted = list(_partings(_time_members(base, ranks), base))
    for batched in (batch, []):
        for smaller in (False, True):
            for groups in parted:
                yield from _choice(base, used, batched, groups, ranks, smaller=smaller)
        if batched:
            yield from _choice(base, used, batched, [], ranks)
    shapes = tuple(map(tuple, base))
    yield Sizes(shapes, shapes, time_varies=False)


def _known(spec: ArraySpec) -> Iterator[int]:
    for axis, dim in enumerate(spec.shape):
        yield dim if dim is not None else (_LENGTH if axis else _BATCH)


def _batch_members(base: Sequence[Sequence[int]], ranks: Mapping[int, int]) -> list[int]:
    sizes = {base[index][0] for index in ranks}
    return [index for index, shape in enumerate(base) if shape and shape[0] in sizes]


def _time_members(base: Sequence[Sequence[int]], ranks: Mapping[int, int]) -> list[int]:
    masked = [index for index, rank in ranks.items() if rank > 1]
    sizes = {base[index][1] for index in masked}
    others = (i for i, shape in enumerate(base) if len(shape) > 1 and shape[1] in sizes)
    return sorted({*masked, *others})


def _partings(members: list[int], base: Sequence[Sequence[int]]) -> Iterator[list[list[int]]]:
    if len(members) <= _MOST_PARTED:
        found = sorted(_partitions(members), key=len, reverse=True)
    else:
        found = [[[m] for m in members], [members[:1], members[1:]], [members]]
    for groups in found:
        if groups and all(len({base[index][1] for index in group}) == 1 for group in groups):
            yield groups


def _partitions(members: list[int]) -> Iterator[list[list[int]]]:
    if not members:
        yield []
        return
    head, *tail = members
    for groups in _partitions(tail):
        yield [[head], *groups]
        for at, group in enumerate(groups):
            yield [*groups[:at], [head, *group], *groups[at + 1 :]]


def _choice(
    base: Sequence[Sequence[int]],
    used: set[int],
    batch: Sequence[int],
    groups: Sequence[Sequence[int]],
    ranks: Mapping[int, int],
    *,
    smaller: bool = False,
) -> Iterator[Sizes]:
    used, depth = set(used), max(ranks.values())
    pair = []
    for _ in range(2):
        shapes = [list(shape) for shape in base]
        _resize(shapes, [(index, 0) for index in batch], used)
        varied = [group for group in groups if not ranks.keys().isdisjoint(group)]
        for group in varied:
            for axis in range(1, depth):
                places = [(i, axis) for i in group if axis < min(depth, len(shapes[i]))]
                if not _resize(shapes, places, used, smaller=smaller):
                    return
        pair.append(tuple(map(tuple, shapes)))
    yield Sizes(pair[0], pair[1], time_varies=bool(groups))


def _resize(
    shapes: list[list[int]],
    places: Sequence[tuple[int, int]],
    used: set[int],
    *,
    smaller: bool = False,
) -> bool:
    # Places of one size get one new size.
    for size in dict.fromkeys(shapes[index][axis] for index, axis in places):
        new = _smaller(size, used) if smaller else _multiple(size, used)
        if new is None:
            return False
        used.add(new)
        for index, axis in places:
            if shapes[index][axis] == size:
                shapes[index][axis] = new
    return True


def _multiple(size: int, used: set[int]) -> int:
    step = max(size, 1)
    return next(size for size in range(2 * step, 10**9, step) if size not in used)


def _smaller(size: int, used: set[int]) -> int | None:
    halves = [size // 2] if size % 2 == 0 else []
    return next((s for s in (*halves, *range(size - 1, 1, -1)) if s > 1 and s not in used), None)
