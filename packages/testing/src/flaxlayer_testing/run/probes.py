"""Programs of a zoo's entries, for laws that no check of the list reaches (T7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flaxlayer_testing.checks.registry import Check
from flaxlayer_testing.subject.subject import Subject

__all__ = ["PROBE", "checks_of"]


def _nothing(subject: Subject) -> None:
    """The program of an entry, its `probe`, breaks no law that the entry stands for."""


PROBE = Check("probe", ("T7",), _nothing)
"""What is asked for by name; an entry puts its own program in its place."""


def checks_of(entry: Any, chosen: Sequence[Check], *, other: bool) -> list[Check]:
    """Returns the checks of an entry, its program among them if that is asked for.

    Args:
        entry: A `Sample`, or what has its attributes.
        chosen: The checks that are asked for.
        other: Whether another layer runs than that of the entry; a program makes its own.

    Returns:
        The checks; none where a program alone is asked for and the entry has none.

    Example:

    ```python
    >>> from flaxlayer_testing.run.samples import Sample
    >>> checks_of(Sample("Dense", tuple), [PROBE], other=False)
    []

    ```
    """
    found = [check for check in chosen if check != PROBE]
    program = getattr(entry, "probe", None)
    if PROBE in chosen and program is not None and not other:
        covers = getattr(entry, "covers", ())
        laws = tuple(name.removeprefix("law.") for name in covers if name.startswith("law."))

        def run(subject: Subject) -> None:
            program()

        found.append(replace(PROBE, laws=laws or PROBE.laws, function=run))
    return found
