"""How the suite examines generated modules: which checks, and a search with a seed of its own."""

import time

from hypothesis import HealthCheck, Phase, given, seed, settings

from flaxlayer_testing import Subject, checks, run_report
from flaxlayer_testing.checks.registry import largest

__all__ = ["CALLS", "FORWARD", "MODELS", "examine"]

FORWARD = (
    "check_inference",
    "check_training",
    "check_state_training",
    "check_state_inference",
    "check_sown",
)
"""The checks of outputs and state in both modes."""

CALLS = (
    "check_build_paths",
    "check_build_dtypes",
    "check_build_values",
    "check_inference",
    "check_training",
    "check_state_training",
    "check_state_inference",
    "check_sown",
    "check_losses",
    "check_streams",
    "check_fresh_keys",
    "check_no_draw",
    "check_frozen_layer",
    "check_frozen_state",
    "check_variables_tree",
    "check_weight_values",
    "check_wrong_arguments",
    "check_wrong_variables",
)
"""The checks of build, calls and state."""

MODELS = tuple(check.name for check in checks() if check.name not in CALLS)
"""The checks of models: learning, files, copies, refusals."""


def examine(strategy, number, modules, names, record_property, explains=None, **wanted):
    """Runs checks on generated modules; each must pass or say why it does not apply.

    Args:
        strategy: Draws cases: `cases` or `nnx_cases`.
        number: The seed of the search.
        modules: How many are examined, all different; fewer where the strategy has no more.
        names: Names of the checks.
        record_property: Pytest's fixture, which takes the figures.
        explains: Tells of a subject and the report of its failures whether it explains them all;
            such modules are counted by themselves.
        **wanted: Arguments of the strategy.

    Returns:
        The distinct specs that were drawn.
    """
    seen, explained, errors, failed, started = set(), [], {}, [], time.perf_counter()

    # Whatever the profile is: a benchmark has none.
    @settings(
        max_examples=3 * modules,
        phases=[Phase.generate, Phase.shrink],
        derandomize=False,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @seed(number)
    @given(strategy(**wanted))
    def run(case):
        # After a failure every example counts: Hypothesis shrinks it and runs it again.
        if not failed and (case.spec in seen or len(seen) == modules):
            return
        subject = Subject.from_case(case)
        report = run_report(subject, only=names)
        if report.failures and explains is not None and explains(subject, report):
            explained.append(case.spec)
        else:
            failed.extend(report.failures)
            report.raise_for_failures()
        seen.add(case.spec)
        errors.update(largest(errors, *(entry.errors for entry in report.entries)))

    run()
    record_property("errors", errors)
    record_property("modules", len(seen))
    record_property("explained", len(explained))
    record_property("seconds", time.perf_counter() - started)
    return seen
