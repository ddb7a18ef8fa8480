"""The one list of checks: plain functions, each citing its law (T2)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flaxlayer_testing.checks import (
    build,
    calls,
    copies,
    learning,
    methods,
    models,
    objects,
    policies,
    randomness,
    refusals,
    state,
    subclassed,
    surroundings,
    threads,
    weights,
)
from flaxlayer_testing.checks.needs import NEEDS
from flaxlayer_testing.checks.registry import Check, CheckFunction, Errors, select_checks

__all__ = ["NEEDS", "Check", "CheckFunction", "Errors", "checks"]


def _check(function: CheckFunction, *needs: str, slow: bool = False) -> Check:
    # The docstring of a check ends with the laws that it enforces.
    cited = re.search(r"\(([A-Z]\d[^)]*)\)\.$", (function.__doc__ or "").strip())
    laws = tuple(cited.group(1).split(", ")) if cited else ()
    return Check(function.__name__, laws, function, needs, slow)


_MODEL = ("traceable", "array_inputs")

_CHECKS = (
    _check(build.check_build_paths),
    _check(build.check_build_dtypes, "variables"),
    _check(build.check_build_values, "variables", "kept_by_build"),
    _check(build.check_symbolic_shapes, *_MODEL),
    _check(calls.check_inference),
    _check(calls.check_training),
    _check(state.check_state_training, "state"),
    _check(state.check_state_inference, "state"),
    _check(calls.check_sown),
    _check(calls.check_returned_sown, "sown", "traceable"),
    _check(calls.check_losses),
    _check(randomness.check_streams, "traceable"),
    _check(randomness.check_fresh_keys, "streams"),
    _check(randomness.check_no_draw, "quiet_mode"),
    _check(randomness.check_seed),
    _check(calls.check_stateless_call, "traceable"),
    _check(calls.check_op_by_op),
    _check(methods.check_methods),
    _check(methods.check_method_variables, "variables"),
    _check(threads.check_threads, "still"),
    _check(models.check_masks, "mask"),
    _check(surroundings.check_masked_input, "no_mask"),
    _check(policies.check_mixed_policy, "traceable", "casts"),
    _check(policies.check_explicit_dtype, "params", "casts"),
    _check(models.check_functional_model, *_MODEL),
    _check(models.check_unknown_sizes, *_MODEL, "unknown_sizes"),
    _check(models.check_sequential_model, *_MODEL, "sequential"),
    _check(surroundings.check_unbuilt_sequential, *_MODEL, "one_array"),
    _check(models.check_subclassed_model, *_MODEL),
    _check(learning.check_gradients, "traceable"),
    _check(learning.check_train_step, *_MODEL, "params"),
    _check(learning.check_fit, *_MODEL, "params"),
    _check(state.check_frozen_layer, "variables"),
    _check(state.check_frozen_paths, "params"),
    _check(weights.check_variables_tree, "variables"),
    _check(weights.check_weight_values, "variables"),
    _check(weights.check_given_variables, "variables"),
    _check(methods.check_bound_module),
    _check(objects.check_object_kept, "own_values"),
    _check(weights.check_config),
    _check(copies.check_saved_model, *_MODEL),
    _check(subclassed.check_saved_subclass, *_MODEL, "params"),
    _check(copies.check_model_json, *_MODEL),
    _check(copies.check_cloned_model, *_MODEL),
    _check(copies.check_copied_model, *_MODEL),
    _check(copies.check_pickled_model, *_MODEL),
    _check(copies.check_exported_model, *_MODEL, "quiet_mode", "tensorflow", slow=True),
    _check(weights.check_weights_file, *_MODEL, "variables"),
    _check(refusals.check_wrong_arguments, "closed_signature"),
    _check(refusals.check_wrong_shapes, *_MODEL, "refused_shapes"),
    _check(refusals.check_wrong_variables, "variables"),
    _check(refusals.check_wrong_method),
    _check(refusals.check_wrong_config),
)


def checks(*, only: Iterable[str] | None = None, slow: bool = False) -> tuple[Check, ...]:
    """Returns the checks, in the order in which they run.

    Args:
        only: Names of checks; all if not given.
        slow: Whether those that take long, such as an export, are among all; by name any is.

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
    return select_checks(_CHECKS, only, slow=slow)
