"""What a check is, and the one list of them (T2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flaxlayer_testing.errors import SelectCheckError
from flaxlayer_testing.subject import Subject

__all__ = ["NEEDS", "Check", "CheckFunction", "Errors", "largest", "select_checks"]

Errors = Mapping[str, float]
"""The largest observed error for each dtype."""

CheckFunction = Callable[[Subject], Errors | None]

NEEDS: Mapping[str, tuple[str, Callable[[Subject], bool]]] = {
    "params": (
        "the module has no params",
        lambda subject: bool(subject.reference.stored.get("params")),
    ),
    "variables": (
        "the module has no variables",
        lambda subject: bool(subject.reference.stored),
    ),
    "state": (
        "the module has no state",
        lambda subject: bool(subject.reference.state_collections),
    ),
    "streams": (
        "the module draws no random numbers in training",
        lambda subject: subject.reference.needs_rng(training=True),
    ),
    "quiet_mode": (
        "the module draws random numbers in both modes",
        lambda subject: not subject.reference.needs_rng(training=False),
    ),
    "array_inputs": (
        "the arguments are not plain positional arrays",
        lambda subject: subject.takes_arrays,
    ),
    "closed_signature": (
        "the method takes any keyword",
        lambda subject: not subject.reference.raw.takes_any_keyword,
    ),
    "refused_shapes": (
        "raw Flax accepts inputs of another shape, too",
        lambda subject: subject.reference.refuses_shapes,
    ),
}
"""What a check may need of its subject: why it is skipped, and the test."""


@dataclass(frozen=True)
class Check:
    """One entry of the list of checks.

    Attributes:
        name: Its name, that of its function.
        laws: The laws that it enforces.
        function: Raises if the layer breaks the law; returns the largest errors by dtype.
        needs: Names in `NEEDS`; without them the check is skipped.

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


def select_checks(known: tuple[Check, ...], names: Iterable[str] | None) -> tuple[Check, ...]:
    """Returns the checks of these names, in the order of the list.

    Args:
        known: All checks.
        names: Names of checks, None for all.

    Returns:
        The checks.

    Raises:
        SelectCheckError: If a name is not one of a check.
    """
    if names is None:
        return known
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
