"""Values that are their own JSON form."""

from __future__ import annotations

__all__ = ["is_plain"]

_PLAIN_TYPES = frozenset({bool, str, type(None)})
# Beyond 64 bits JSON readers differ, and decimal digits cost quadratic time.
_PLAIN_INT_BITS = 63


def is_plain(value: object) -> bool:
    """Whether `value` is its own JSON form."""
    if type(value) is int:
        return value.bit_length() <= _PLAIN_INT_BITS
    if type(value) is float:
        return value - value == 0.0
    return type(value) in _PLAIN_TYPES
