"""Arguments that are whole numbers, and those that count something."""

from __future__ import annotations

from typing import SupportsIndex

from flaxlayer_core import CallArgumentError, shorten

__all__ = ["as_int", "check_count"]


def as_int(number: object) -> int | None:
    """Returns a whole number, also one of NumPy, as an int; None for anything else."""
    if not isinstance(number, SupportsIndex) or isinstance(number, bool):
        return None
    try:
        return number.__index__()
    except TypeError:  # an array that is no single integer
        return None


def check_count(number: object, name: str, *, owner: str, law: str = "") -> int:
    """Returns a count as an int.

    Args:
        number: What was given.
        name: The argument's name.
        owner: What takes the argument, as the error names it.
        law: The law of the error, if one speaks of it.

    Raises:
        CallArgumentError: If it is no whole number, or less than 1.
    """
    count = as_int(number)
    if count is not None and count >= 1:
        return count
    raise CallArgumentError(
        f"{owner} cannot use this {name}.",
        expected="a whole number, 1 or more",
        found=shorten(number),
        fix=f"Give {name} a count.",
        law=law,
    )
