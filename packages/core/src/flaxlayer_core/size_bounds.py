"""How large arrays may be, checked before one is made or compiled (S3).

XLA counts elements and bytes in 64 bits; where those do not suffice it ends the process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flaxlayer_core.errors import BuildModuleError
from flaxlayer_core.typing import Array, Shaped

__all__ = ["SizeBound", "count_bytes", "refuse_unaddressable"]

_MOST = 2**63
# Measured on a CPU: five times the largest array is in use while an initialiser draws it. What is
# read is put into its place from where it was read to.
_DRAWN, _READ = 4, 1
# Of what a call makes on its way, XLA may never hold the whole.
_BEYOND = 16
_DIGITS = 30


def count_bytes(array: Shaped) -> int:
    """Returns the bytes of an array or its description; an unknown dimension counts as 1.

    Example:

    ```python
    >>> import jax, jax.numpy as jnp
    >>> count_bytes(jax.ShapeDtypeStruct((10**18, 4), jnp.float32))
    16000000000000000000

    ```
    """
    return _count(array) * int(getattr(array.dtype, "itemsize", 8))


def _count(array: Shaped) -> int:
    return math.prod(dim for dim in array.shape if type(dim) is int)


def refuse_unaddressable(arrays: Iterable[Array], *, title: str) -> None:
    """Refuses arrays that no machine can address.

    Args:
        arrays: Arrays or their descriptions.
        title: What to name in an error.

    Raises:
        BuildModuleError: If one has 2**63 elements or bytes.
    """
    for array in arrays:
        if max(_count(array), count_bytes(array)) >= _MOST:
            raise BuildModuleError(
                f"{title} cannot be built: it asks for an array that no machine can address.",
                expected="fewer than 2**63 elements and bytes in each array",
                found=f"an array of {_told(_count(array))} elements of {array.dtype}",
                fix="Make it smaller; if it comes from a file, check where that comes from.",
                law="S3",
            )


@dataclass(frozen=True)
class SizeBound:
    """What the module of a stored configuration may ask for (S3).

    Attributes:
        title: What to name in an error.
        total: Returns how many bytes the machine has.
        free: Returns how many of them can still be had.
    """

    title: str
    total: Callable[[], int]
    free: Callable[[], int]

    def check_described(self, arrays: Iterable[Shaped]) -> None:
        """Refuses arrays that are only described for now, and do not fit into the machine.

        Raises:
            BuildModuleError: If one cannot be addressed, or their sum is more than there is.
        """
        arrays = list(arrays)
        refuse_unaddressable(arrays, title=self.title)
        self._compare(sum(map(count_bytes, arrays)), self.total(), "that this machine has")

    def check_made(
        self, arrays: Iterable[Array], beside: Iterable[object] = (), *, drawn: bool = True
    ) -> None:
        """Refuses arrays that are to be made and held, and do not fit into what is free.

        Args:
            arrays: Descriptions of what is to be made.
            beside: What is made on the way to it.
            drawn: Whether values are drawn, or read from a file.

        Raises:
            BuildModuleError: If one cannot be addressed, or there is no room for all of them with
                what the largest takes while it is made.
        """
        arrays, beside = list(arrays), list(beside)
        refuse_unaddressable([*arrays, *beside], title=self.title)
        largest = max(map(count_bytes, [*arrays, *beside]), default=0)
        needed = sum(map(count_bytes, arrays)) + (_DRAWN if drawn else _READ) * largest
        self._compare(needed, self.free(), "that are free")

    def check_program(self, arrays: Iterable[Shaped]) -> None:
        """Refuses what a traced program makes on its way, where it is far beyond the machine.

        Raises:
            BuildModuleError: If an array cannot be addressed, or is many times what there is.
        """
        arrays = list(arrays)
        refuse_unaddressable(arrays, title=self.title)
        largest = max(map(count_bytes, arrays), default=0)
        self._compare(largest, _BEYOND * self.total(), "that a single array may have here")

    def _compare(self, needed: int, limit: int, which: str) -> None:
        if needed <= limit:
            return
        raise BuildModuleError(
            f"{self.title} is refused: its stored configuration asks for too much memory.",
            expected=f"at most the {limit:,} bytes {which}",
            found=f"{_told(needed)} bytes",
            fix="Do not load the file, or load it on a machine that holds it.",
            law="S3",
        )


def _told(number: int) -> str:
    # The digits of a huge number cost more than reading the file.
    return f"{number:,}" if number < 10**_DIGITS else f"more than 10**{_DIGITS}"
