"""Arrays whose parts are in several processes, as arrays of NumPy (D3)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from enum import IntEnum

import jax
import numpy as np
from jax.experimental import multihost_utils

from flaxlayer.typing import Array

__all__ = ["agree", "gather", "largest", "lead", "serve"]


class _Answer(IntEnum):
    """What the first process says instead of the position of an array."""

    DONE = -1
    FAILED = -2


def gather(array: jax.Array) -> Array:
    """Returns the whole of an array; all processes call it, in the same order."""
    whole: Array = multihost_utils.process_allgather(array, tiled=True)
    return whole


def largest(number: int) -> int:
    """Returns the largest of the numbers of all processes, each of which gives one."""
    return int(np.max(multihost_utils.process_allgather(np.asarray(number))))


def agree(text: str) -> bool:
    """Tells all processes whether they all give the same text."""
    number = zlib.crc32(text.encode()) >> 2  # what is told goes through 32 bits with a sign
    return largest(number) == -largest(-number)


def lead(arrays: Sequence[jax.Array], run: Callable[[Callable[[int], Array]], None]) -> None:
    """Runs a function in the first process, which may ask for whole arrays, one after another.

    Args:
        arrays: The arrays.
        run: Gets what returns the array at a position. Whatever it raises ends `serve`, too.
    """

    def whole(index: int) -> Array:
        _tell(index)
        return gather(arrays[index])

    try:
        run(whole)
    except BaseException:
        _tell(_Answer.FAILED)
        raise
    _tell(_Answer.DONE)


def serve(arrays: Sequence[jax.Array]) -> bool:
    """Gives, in every other process, the parts of arrays that the first one asks for.

    Args:
        arrays: The arrays, in the order that the first process has them in.

    Returns:
        Whether what the first process runs came to its end.
    """
    while (index := _tell(_Answer.FAILED)) >= 0:
        gather(arrays[index])
    return index == _Answer.DONE


def _tell(number: int) -> int:
    """Returns in all processes what the first one says."""
    return int(multihost_utils.broadcast_one_to_all(np.asarray(number)))
