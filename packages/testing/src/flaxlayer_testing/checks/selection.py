"""Which checks run: by name or pattern, without some, with those of others (T2)."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Sequence
from types import ModuleType

from flaxlayer_testing.checks.registry import Check, CheckFunction, known_checks
from flaxlayer_testing.errors import SelectCheckError

__all__ = ["GivenChecks", "select_checks"]

GivenChecks = Iterable[Check | CheckFunction | ModuleType]
"""Checks of others: functions under `@check`, entries of the list, or modules that hold some."""


def select_checks(
    only: Iterable[str] | None, exclude: Iterable[str], given: GivenChecks, *, slow: bool
) -> tuple[Check, ...]:
    """Returns the checks that are asked for, in the order of the list.

    Args:
        only: Names or patterns such as `"check_saved_*"`; None for all.
        exclude: Names or patterns of those that are not to run.
        given: Checks of others that are among all.
        slow: Whether slow ones are among all, and among what a pattern matches.

    Returns:
        The checks.

    Raises:
        SelectCheckError: If a name or a pattern is of no check, or none is left.
    """
    theirs = [check for item in given for check in _given(item)]
    known = tuple(dict.fromkeys([*known_checks(), *theirs]))
    usual = [check for check in known if check.is_ours or check in theirs]
    usual = [check for check in usual if slow or not check.slow]
    chosen, dropped = set(usual if only is None else ()), set[Check]()
    for pattern in only or ():
        chosen |= _matching(pattern, known, usual)
    for pattern in exclude:
        dropped |= _matching(pattern, known, known)
    left = tuple(check for check in known if check in chosen - dropped)
    if not left:
        raise SelectCheckError(
            "No check is left.",
            expected="at least one check that is asked for and not excluded",
            found=f"{len(chosen)} asked for, all excluded",
            fix="Exclude fewer.",
            law="T2",
        )
    return left


def _given(item: Check | CheckFunction | ModuleType) -> list[Check]:
    if isinstance(item, Check):
        return [item]
    if isinstance(item, ModuleType):
        found = [check for check in known_checks() if check.home == item.__name__]
    else:
        found = [check for check in known_checks() if check.function is item]
    if not found:
        raise SelectCheckError(
            f"{getattr(item, '__name__', repr(item))[:200]} holds no check.",
            expected="a function under @flaxlayer_testing.check(...), or a module with some",
            found=type(item).__name__,
            fix="Put the decorator on the function, with the laws that it enforces.",
            law="T2",
        )
    return found


def _matching(pattern: str, known: Sequence[Check], usual: Sequence[Check]) -> set[Check]:
    # A name is of any check, one that takes long or is another's, too.
    found = {check for check in known if check.name == pattern}
    found |= {check for check in usual if fnmatch.fnmatchcase(check.name, pattern)}
    if found:
        return found
    names = [check.name for check in known]
    near = difflib.get_close_matches(pattern, names, 3)
    raise SelectCheckError(
        "There is no such check.",
        expected="a name, or a pattern of names, of: " + ", ".join(names),
        found=repr(pattern[:200]),
        fix="Correct the name" + (f"; the nearest: {', '.join(near)}." if near else "."),
        law="T2",
    )
