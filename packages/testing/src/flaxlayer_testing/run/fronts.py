"""The front ends of the one list of checks: a function and a pytest decorator (T2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from flaxlayer import FlaxLayer
from flaxlayer_testing.checks import Check, GivenChecks
from flaxlayer_testing.checks import checks as list_of_checks
from flaxlayer_testing.oracle.roles import TRANSIENT
from flaxlayer_testing.project import current_project
from flaxlayer_testing.report.report import Report, Status
from flaxlayer_testing.run.expected import (
    ExpectedFailure,
    ExpectedFailures,
    KnownCheck,
    by_check,
    known_of,
    of_project,
    refuse_idle,
)
from flaxlayer_testing.run.loading import load_checks
from flaxlayer_testing.run.naming import module_name
from flaxlayer_testing.run.running import run_report
from flaxlayer_testing.spec.spec import Case, ModuleSpec
from flaxlayer_testing.subject.layer import LayerFactory
from flaxlayer_testing.subject.subject import Subject

__all__ = ["check_module", "parametrize_checks", "run_check"]


def check_module(
    module: Any,
    *inputs: Any,
    layer: LayerFactory = FlaxLayer,
    only: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
    checks: GivenChecks = (),
    expected_failures: ExpectedFailures = (),
    seed: int = 0,
    training_arg: str | None = None,
    transient: Iterable[str] = TRANSIENT,
    slow: bool = False,
    **method_kwargs: Any,
) -> Report:
    """Checks that a layer runs a Flax module as raw Flax does.

    Args:
        module: An unbound linen module; an nnx module, or what makes one.
        *inputs: Positional arguments of its method: arrays, with a batch dimension first, pytrees
            of them, and static values.
        layer: Makes the layer under test: `layer(module, seed=seed)`.
        only: Names or patterns of checks, such as `"check_saved_*"`; all if not given.
        exclude: Names or patterns of checks that do not run.
        checks: Checks of your own that run, too: functions under `@flaxlayer_testing.check(...)`,
            or modules that hold some.
        expected_failures: Known failures (T6). One that does not come about as it is described
            fails. A mapping gives them by names or patterns of the module's class, a function by
            the subject.
        seed: Seed of the layer.
        training_arg: The training argument of the method where its name is not customary;
            `"~name"` where it means inference.
        transient: Collections that belong to one call by their name (C2).
        slow: Whether to run the checks that take long, too, such as that of an export.
        **method_kwargs: Keyword arguments of the method.

    Returns:
        A report with an entry for each check; `report.raise_for_failures()` makes it an assertion.

    Raises:
        SelectCheckError: If a check does not exist, or none is left.

    Example:

    ```python
    >>> import flax.linen as nn, numpy as np
    >>> report = check_module(nn.Dense(2), np.ones((4, 3), np.float32))
    >>> report.ok
    True

    ```
    """
    subject = Subject(
        module,
        inputs,
        method_kwargs,
        seed=seed,
        layer=layer,
        training_arg=training_arg,
        transient=tuple(transient),
    )
    return run_report(
        subject,
        only=only,
        exclude=exclude,
        given=checks,
        expected_failures=expected_failures,
        slow=slow,
    )


def parametrize_checks(
    subjects: Sequence[Any],
    *,
    layer: LayerFactory = FlaxLayer,
    only: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
    checks: GivenChecks = (),
    expected_failures: ExpectedFailures = (),
    slow: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Parametrizes a test with `subject` and `check`, for all checks of all subjects.

    What is not given is what `[tool.flaxlayer]` in the project's `pyproject.toml` says, and
    `--flaxlayer-only` and `--flaxlayer-exclude` of pytest, where the plugin is there.

    Args:
        subjects: Subjects, `(module, *inputs)` tuples, generated cases or specs.
        layer: Makes the layer under test.
        only: Names or patterns of checks, such as `"check_saved_*"`; all if not given.
        exclude: Names or patterns of checks that do not run.
        checks: Checks of your own that run, too: functions under `@flaxlayer_testing.check(...)`,
            or modules that hold some.
        expected_failures: Known failures (T6), whose tests end as expected failures of pytest.
            A mapping gives them by names or patterns of the module's class, a function by the
            subject. A test whose known failure does not come about as it is described fails.
        slow: Whether those that take long are among all.

    Returns:
        A decorator for a test with the arguments `subject` and `check`, which calls
        `run_check(subject, check)`.

    Raises:
        SelectCheckError: If a check does not exist, or a known failure is of no subject.

    Example:

    ```python
    >>> import flax.linen as nn, numpy as np
    >>> @parametrize_checks([(nn.Dense(2), np.ones((4, 3), np.float32))])
    ... def test_dense(subject, check):
    ...     run_check(subject, check)

    ```
    """
    project = current_project()
    given = (*checks, *map(load_checks, project.checks))
    left_out = (*exclude, *(() if only is not None else project.exclude))
    wanted = project.only if only is None else only
    chosen = list_of_checks(only=wanted, exclude=left_out, given=given, slow=slow)
    made = [_subject(entry, layer, project.seed or 0) for entry in subjects]
    refuse_idle(expected_failures, made)
    expected_failures = expected_failures or of_project(project)
    known = [by_check(known_of(expected_failures, subject), given=given) for subject in made]
    return pytest.mark.parametrize(
        ("subject", "check"),
        [
            pytest.param(
                subject,
                _with_known(check, known[number]),
                id=f"{_label(subject, number)}-{check.name}",
                marks=pytest.mark.flaxlayer,
            )
            for number, subject in enumerate(made)
            for check in chosen
        ],
    )


def _with_known(check: Check, known: Mapping[str, ExpectedFailure]) -> Check:
    if check.name not in known:
        return check
    fields = {field.name: getattr(check, field.name) for field in dataclasses.fields(check)}
    return KnownCheck(**fields, known=known[check.name])


def run_check(subject: Subject, check: Check) -> None:
    """Runs one check inside a test; skips the test where the check does not apply.

    A failure that was given to `parametrize_checks` as a known one ends the test as an expected
    failure of pytest.

    Args:
        subject: What to check.
        check: The check.

    Raises:
        PassChecksError: If it fails, or a known failure does not come about; the last line of the
            message replays it.
    """
    known = check.known if isinstance(check, KnownCheck) else None
    expected = [known] if known else []
    report = run_report(subject, only=[check.name], given=[check], expected_failures=expected)
    for entry in report.of(Status.SKIPPED):
        pytest.skip(entry.message)
    for entry in report.of(Status.EXPECTED):
        pytest.xfail(entry.message)
    report.raise_for_failures()


def _label(subject: Subject, number: int) -> str:
    return f"{module_name(subject.module)}{number}"


def _subject(entry: Any, layer: LayerFactory, seed: int) -> Subject:
    if isinstance(entry, Subject):
        return entry
    if isinstance(entry, ModuleSpec):
        entry = Case(entry)
    if isinstance(entry, Case):
        return Subject.from_case(entry, layer=layer)
    module, *inputs = entry
    return Subject(module, tuple(inputs), layer=layer, seed=seed)
