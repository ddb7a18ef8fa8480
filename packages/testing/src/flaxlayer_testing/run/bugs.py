"""What tells one bug from another, of failures of many cases (T1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flaxlayer_testing.report.report import Entry

__all__ = ["Bug", "bug_of"]

_MOST = 300
# What differs between two cases of one bug: what is quoted, what lies below a path, numbers.
_VARYING = (
    (re.compile(r"`[^`]*`|'[^']*'|\"[^\"]*\""), "…"),
    (re.compile(r"(?<=\w)/\S*"), ""),
    (re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?"), "#"),
)


@dataclass(frozen=True)
class Bug:
    """What all failures of one bug have in common.

    Attributes:
        check: The check that fails.
        error: The name of the error's class.
        shape: The first line of its message, without what differs from case to case.
        laws: The laws that the check cites.
        place: Where the layer under test raised, if it did.

    Example:

    ```python
    >>> shape_of("params/Dense_0/kernel differs in shape: (3, 4).")
    'params differs in shape: (#, #).'

    ```
    """

    check: str
    error: str
    shape: str
    laws: tuple[str, ...]
    place: str = ""


def shape_of(message: str) -> str:
    """Returns the first line of a message, without what differs from case to case."""
    line = message.strip().partition("\n")[0][:_MOST]
    for pattern, instead in _VARYING:
        line = pattern.sub(instead, line)
    return line


def bug_of(entry: Entry) -> Bug:
    """Returns the bug that a failed check shows."""
    return Bug(entry.check, entry.error_type, shape_of(entry.message), entry.laws, entry.place)
