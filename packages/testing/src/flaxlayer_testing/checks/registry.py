"""What a check is, and the one list of them (T2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flaxlayer_testing.checks.needs import NEEDS
from flaxlayer_testing.errors import SelectCheckError
from flaxlayer_testing.subject.subject import Subject

__all__ = ["Check", "CheckFunction", "Errors", "largest", "select_checks"]

Errors = Mapping[str, float]
"""The largest observed error for each dtype."""

CheckFunction = Callable[[Subject], Errors | None]


@dataclass(frozen=True)
class Check:
    """One entry of the list of checks.

    Attributes:
        name: Its name, that of its function.
        laws: The laws that it enforces.
        function: Raises if the layer breaks the law; returns the largest errors by dtype.
        needs: Names in `NEEDS`; without them the check is skipped.
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
    needs: tuple[str, ...] = ()
    slow: bool = False

    def missing(self, subject: Subject) -> str:
        """Returns why the check does not apply to a subject, empty if it does."""
        for need in self.needs:
            reason, holds = NEEDS[need]
            if not holds(subject):
                return reason
        return ""


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
