"""What a check is, and the one list of them (T2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flaxlayer_testing.checks.needs import Need
from flaxlayer_testing.errors import SelectCheckError
from flaxlayer_testing.subject.subject import Subject

__all__ = ["Check", "CheckFunction", "Errors", "check", "known_checks", "largest", "select_checks"]

Errors = Mapping[str, float]
"""The largest observed error for each dtype."""

CheckFunction = Callable[[Subject], Errors | None]

_ROOM = f"{__name__.rpartition('.')[0]}."
_KNOWN: dict[str, Check] = {}


@dataclass(frozen=True)
class Check:
    """One entry of the list of checks.

    Attributes:
        name: Its name, that of its function.
        laws: The laws that it enforces.
        function: Raises if the layer breaks the law; returns the largest errors by dtype.
        needs: What it needs of a subject; without it the check is skipped.
        slow: Whether it runs only when it is asked for.

    Example:

    ```python
    >>> from flaxlayer_testing import checks
    >>> next(check for check in checks() if "B2" in check.laws).name
    'check_build_values'

    ```
    """

    name: str
    laws: tuple[str, ...]
    function: CheckFunction
    needs: tuple[Need, ...] = ()
    slow: bool = False

    @property
    def summary(self) -> str:
        """What it checks, in one sentence."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    def missing(self, subject: Subject) -> Need | None:
        """Returns the first need that a subject does not meet, None if the check applies to it."""
        return next((need for need in self.needs if not need.holds(subject)), None)


def check(
    *laws: str, needs: Iterable[Need] = (), slow: bool = False
) -> Callable[[CheckFunction], CheckFunction]:
    """Enters a function into the list of checks, under its own name.

    Args:
        *laws: The laws that it enforces; at least one.
        needs: What it needs of a subject; without it the check is skipped.
        slow: Whether it runs only when it is asked for.

    Returns:
        A decorator that returns the function as it is.

    Raises:
        SelectCheckError: If it cites no law, is not called `check_...`, or is called as another is.
    """

    def enter(function: CheckFunction) -> CheckFunction:
        name = function.__name__
        other = _KNOWN.get(name)
        taken = other is not None and other.function.__module__ != function.__module__
        if not laws or not name.startswith("check_") or taken:
            raise SelectCheckError(
                f"{function.__module__}.{name} cannot be entered into the list of checks.",
                expected="at least one law, and a name of its own that starts with 'check_'",
                found=f"the laws {laws}" + (f", and another {name}" if taken else ""),
                fix="Cite a law, or rename the function.",
                law="T2",
            )
        _KNOWN[name] = Check(name, laws, function, tuple(needs), slow)
        return function

    return enter


def known_checks() -> tuple[Check, ...]:
    """Returns all checks in the order in which they run.

    Those of this room come first, by the names of its files, and in a file as they are written;
    then those that others entered, as they were.
    """

    def place(known: Check) -> tuple[bool, str]:
        home = known.function.__module__
        return (False, home) if home.startswith(_ROOM) else (True, "")

    return tuple(sorted(_KNOWN.values(), key=place))


def largest(*errors: Errors) -> dict[str, float]:
    """Joins the largest errors of several comparisons."""
    dtypes = {dtype for part in errors for dtype in part}
    return {d: max(part.get(d, 0.0) for part in errors) for d in sorted(dtypes)}


def select_checks(
    known: tuple[Check, ...], names: Iterable[str] | None, *, slow: bool
) -> tuple[Check, ...]:
    """Returns the checks of these names, in the order of the list.

    Args:
        known: All checks.
        names: Names of checks, None for all.
        slow: Whether slow ones are among all.

    Returns:
        The checks.

    Raises:
        SelectCheckError: If a name is not one of a check.
    """
    if names is None:
        return tuple(check for check in known if slow or not check.slow)
    wanted = set(names)
    unknown = wanted - {check.name for check in known}
    if unknown:
        raise SelectCheckError(
            "There is no such check.",
            expected="one of: " + ", ".join(check.name for check in known),
            found=", ".join(sorted(unknown)),
            fix="Correct the name.",
            law="T2",
        )
    return tuple(check for check in known if check.name in wanted)
