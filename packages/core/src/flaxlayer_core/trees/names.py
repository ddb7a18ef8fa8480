"""Names that a user gives: one, or several (C2, R2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

__all__ = ["as_names"]


def as_names(given: object) -> tuple[str, ...] | None:
    """Returns the names in what a user gave where one name or several belong.

    A text is one name, as in Flax's `mutable="batch_stats"`, and not the list of its characters.

    Args:
        given: A name, or several; a set of them, which has no order, is sorted.

    Returns:
        The names; None where something is none.

    Example:

    ```python
    >>> as_names("params"), as_names(["params", "cache"]), as_names(["params", 3])
    (('params',), ('params', 'cache'), None)

    ```
    """
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        return None
    names = tuple(given)
    if not all(isinstance(name, str) for name in names):
        return None
    return tuple(sorted(names)) if isinstance(given, Set) else names
