"""What a check is, and the one list of them (T2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flaxlayer_testing.checks.needs import Need
from flaxlayer_testing.errors import SelectCheckError
from flaxlayer_testing.subject.subject import Subject

__all__ = ["Check", "CheckFunction", "Errors", "check", "known_checks", "largest"]

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

    @property
    def home(self) -> str:
        """The Python module that its function stands in."""
        return self.function.__module__

    @property
    def is_ours(self) -> bool:
        """Whether it is of this package; those of others run where they are given or named."""
        return self.home.startswith(_ROOM)

    def missing(self, subject: Subject) -> Need | None:
        """Returns the first need that a subject does not meet, None if the check applies to it."""
        return next((need for need in self.needs if not need.holds(subject)), None)


def check(
    *laws: str, needs: Iterable[Need] = (), slow: bool = False
) -> Callable[[CheckFunction], CheckFunction]:
    """Enters a function into the list of checks, under its own name.

    A check of your own takes a `Subject`, asks its layer something, and raises where a law is
    broken. It runs where it is given (`check_module(..., checks=[...])`, `--checks`) or named.

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
        return (False, known.home) if known.is_ours else (True, "")

    return tuple(sorted(_KNOWN.values(), key=place))


def largest(*errors: Errors) -> dict[str, float]:
    """Joins the largest errors of several comparisons."""
    dtypes = {dtype for part in errors for dtype in part}
    return {d: max(part.get(d, 0.0) for part in errors) for d in sorted(dtypes)}
