"""Known failures as data (T6)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flaxlayer_testing.checks import checks
from flaxlayer_testing.errors import SelectCheckError

__all__ = ["ExpectedFailure"]


@dataclass(frozen=True)
class ExpectedFailure:
    """A failure that is known.

    An entry that no longer describes what happens is itself a failure: if the check passes, is
    skipped, or fails with another error or message.

    Attributes:
        check: The check that fails.
        error: The name of the error's class.
        message: A part of its message.
        reason: Why it fails, and what is to be done about it.
        versions: The versions that it was seen with.

    Example:

    ```python
    >>> known = ExpectedFailure("check_sown", "KeyError", "intermediates", "sow is not kept yet")
    >>> known.describes(KeyError("intermediates"))
    True

    ```
    """

    check: str
    error: str
    message: str
    reason: str
    versions: tuple[str, ...] = ()

    def describes(self, error: Exception) -> bool:
        """Tells whether an error is the one that is known."""
        names = {kind.__name__ for kind in type(error).__mro__}
        return self.error in names and self.message in str(error)


def by_check(expected: Iterable[ExpectedFailure]) -> dict[str, ExpectedFailure]:
    """Returns known failures by the name of their check.

    Args:
        expected: Known failures.

    Returns:
        The same, by name.

    Raises:
        SelectCheckError: If one names no check, or two name the same.
    """
    known = tuple(expected)
    names = [entry.check for entry in known]
    checks(only=names)
    if len(set(names)) < len(names) or not all(entry.reason for entry in known):
        raise SelectCheckError(
            "The expected failures cannot be used.",
            expected="one entry for a check, each with a reason",
            found=", ".join(names),
            fix="Remove the other entries of the check, or state the reason.",
            law="T6",
        )
    return {entry.check: entry for entry in known}
