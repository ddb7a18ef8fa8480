"""A bounded table of what was made for calls, the last ones used (A1)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["RECENT_CALLS", "RecentlyUsed"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# Forms of calls that differ in static values or in the structure of their arguments.
RECENT_CALLS = 128


class RecentlyUsed(Generic[K, V]):
    """Keeps the entries that were used last: at least as many as it is told, at most twice that.

    What was used since the last round is in the new half; a full new half becomes the old one, and
    what nobody used for a whole round is dropped. A look-up costs that of a dict.

    Args:
        size: How many entries are sure to be kept.

    Example:

    ```python
    >>> table = RecentlyUsed(1)
    >>> for key in "aab":
    ...     table[key] = key.upper()
    >>> table.get("b"), len(table)
    ('B', 2)

    ```
    """

    def __init__(self, size: int = RECENT_CALLS) -> None:
        self._size = size
        self._new: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Returns the entry of a key, None where there is none."""
        found = self._new.get(key)
        if found is None and self._old:
            found = self._old.get(key)
            if found is not None:
                self[key] = found
        return found

    def setdefault(self, key: K, value: V) -> V:
        """Returns the entry of a key, which is the given value where there was none."""
        found = self.get(key)
        if found is None:
            self[key] = found = value
        return found

    def values(self) -> list[V]:
        """Returns the entries."""
        return [*self._old.values(), *self._new.values()]

    def __setitem__(self, key: K, value: V) -> None:
        """Keeps an entry."""
        if len(self._new) >= self._size and key not in self._new:
            self._old, self._new = self._new, {}
        self._new[key] = value
        self._old.pop(key, None)

    def __len__(self) -> int:
        """Returns how many entries there are."""
        return len(self._new) + len(self._old)
