"""The one list of checks: plain functions, each citing its law (T2).

A check is a function `check_*` under `@check(...)` in any file of this room: the room is listed,
so that a new one needs no entry elsewhere. Checks run by the names of their files, and in a file as
they are written.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable

from flaxlayer_testing.checks.needs import Need
from flaxlayer_testing.checks.registry import (
    Check,
    CheckFunction,
    Errors,
    check,
)
from flaxlayer_testing.checks.selection import GivenChecks, select_checks

__all__ = ["Check", "CheckFunction", "Errors", "GivenChecks", "Need", "check", "checks"]

for _file in sorted(info.name for info in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_file}")


def checks(
    *,
    only: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
    given: GivenChecks = (),
    slow: bool = False,
) -> tuple[Check, ...]:
    """Returns the checks, in the order in which they run.

    Args:
        only: Names or patterns of checks, such as `"check_saved_*"`; all if not given.
        exclude: Names or patterns of checks that are not among them.
        given: Checks of others that are among all: functions under `@check(...)`, or modules that
            hold some.
        slow: Whether those that take long, such as an export, are among all; by name any is.

    Returns:
        The checks.

    Raises:
        SelectCheckError: If a name or a pattern is of no check, or none is left.

    Example:

    ```python
    >>> [check.name for check in checks(only=["check_state_*"], exclude=["*_inference"])]
    ['check_state_training', 'check_state_updates']

    ```
    """
    return select_checks(only, exclude, given, slow=slow)
