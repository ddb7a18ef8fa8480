"""What the options of a command choose: checks, and the words that say so again (T8)."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from flaxlayer_testing.checks import Check, checks
from flaxlayer_testing.project import current_project
from flaxlayer_testing.run.loading import load_checks

__all__ = ["choose_checks", "names_of", "options"]


def choose_checks(
    only: Iterable[str] | None,
    exclude: Iterable[str] | None,
    modules: Iterable[str] | None,
    *,
    slow: bool = False,
    also: Iterable[Check] = (),
) -> tuple[Check, ...]:
    """Returns the checks that the options choose, and the project's table where they do not.

    `--only` takes the place of the table's `only` and `exclude`; `--exclude` and `--checks` come on
    top of the table's.

    Args:
        only: Of `--only`.
        exclude: Of `--exclude`.
        modules: Of `--checks`.
        slow: Of `--slow`.
        also: Checks that the command itself has beside those of the list.

    Returns:
        The checks.

    Raises:
        SelectCheckError: If a name is of no check, or none is left.
        LoadTargetError: If a module of checks cannot be imported.
    """
    project = current_project()
    given: list[Check | ModuleType] = [
        *also,
        *map(load_checks, (*project.checks, *(modules or ()))),
    ]
    left_out = [*(() if only else project.exclude), *(exclude or ())]
    return checks(only=only or project.only, exclude=left_out, given=given, slow=slow)


def names_of(chosen: Iterable[Check]) -> list[str]:
    """Returns the names of checks."""
    return [check.name for check in chosen]


def options(name: str, *values: str | None) -> list[str]:
    """Returns an option as words, once for each value.

    Example:

    ```python
    >>> options("--set", "a=1", None, "b=2")
    ['--set', 'a=1', '--set', 'b=2']

    ```
    """
    return [word for value in values if value for word in (name, value)]
