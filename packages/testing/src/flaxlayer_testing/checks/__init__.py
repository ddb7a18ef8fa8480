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
    known_checks,
    select_checks,
)

__all__ = ["Check", "CheckFunction", "Errors", "Need", "check", "checks"]

for _file in sorted(info.name for info in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_file}")


def checks(*, only: Iterable[str] | None = None, slow: bool = False) -> tuple[Check, ...]:
    """Returns the checks, in the order in which they run.

    Args:
        only: Names of checks; all if not given.
        slow: Whether those that take long, such as an export, are among all; by name any is.

    Returns:
        The checks.

    Raises:
        SelectCheckError: If a name is not one of a check.

    Example:

    ```python
    >>> [check.name for check in checks(only=["check_inference"])]
    ['check_inference']

    ```
    """
    return select_checks(known_checks(), only, slow=slow)
