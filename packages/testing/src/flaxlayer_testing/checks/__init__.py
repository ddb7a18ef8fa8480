"""The one list of checks: plain functions, each citing its law (T2)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flaxlayer_testing.checks import (
    build,
    calls,
    learning,
    randomness,
    refusals,
    state,
    weights,
)
from flaxlayer_testing.checks.base import NEEDS, Check, CheckFunction, Errors, select_checks

__all__ = ["NEEDS", "Check", "CheckFunction", "Errors", "checks"]


def _check(function: CheckFunction, *needs: str) -> Check:
    # The docstring of a check ends with the laws that it enforces.
    cited = re.search(r"\(([A-Z]\d[^)]*)\)\.$", (function.__doc__ or "").strip())
    laws = tuple(cited.group(1).split(", ")) if cited else ()
    return Check(function.__name__, laws, function, needs)


_CHECKS = (
    _check(build.check_build_paths),
    _check(build.check_build_dtypes, "variables"),
    _check(build.check_build_values, "variables"),
    _check(build.check_symbolic_shapes, "array_inputs"),
    _check(calls.check_inference),
    _check(calls.check_training),
    _check(state.check_state_training, "state"),
    _check(state.check_state_inference, "state"),
    _check(calls.check_sown),
    _check(calls.check_losses),
    _check(randomness.check_streams),
    _check(randomness.check_fresh_keys, "streams"),
    _check(randomness.check_no_draw, "quiet_mode"),
    _check(randomness.check_seed),
    _check(calls.check_stateless_call),
    _check(calls.check_functional_model, "array_inputs"),
    _check(learning.check_gradients),
    _check(learning.check_train_step, "params"),
    _check(learning.check_fit, "params"),
    _check(state.check_frozen_layer, "variables"),
    _check(state.check_frozen_paths, "params"),
    _check(weights.check_variables_tree, "variables"),
    _check(weights.check_weight_values, "variables"),
    _check(weights.check_config),
    _check(weights.check_saved_model, "array_inputs"),
    _check(weights.check_weights_file, "array_inputs", "variables"),
    _check(refusals.check_wrong_arguments, "closed_signature"),
    _check(refusals.check_wrong_shapes, "array_inputs", "refused_shapes"),
    _check(refusals.check_wrong_variables, "variables"),
)


def checks(*, only: Iterable[str] | None = None) -> tuple[Check, ...]:
    """Returns the checks, in the order in which they run.

    Args:
        only: Names of checks; all if not given.

    Returns:
        The checks.

    Raises:
        SelectCheckError: If a name is not one of a check.

    Example:

    ```python
    >>> [check.name for check in checks(only=["check_inference"])]
    ['check_inference']

    ```
    """
    return select_checks(_CHECKS, only)
