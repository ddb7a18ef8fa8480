"""How a module is applied in one mode: its streams, what it may not change (C3, R1)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from flax import errors as flax_errors

from flaxlayer_core.discovery.module_call import abstract_keys
from flaxlayer_core.discovery.module_spec import ModePlan
from flaxlayer_core.discovery.streams import find_streams
from flaxlayer_core.discovery.trials import Trial
from flaxlayer_core.jaxprs.traced import TracedFunction
from flaxlayer_core.modules.key_arguments import KeyArgument, keyed_names
from flaxlayer_core.modules.nnx.supplied_rngs import noted_keys
from flaxlayer_core.trees.structures import same_structure
from flaxlayer_core.typing import Array, PyTree, Variables

__all__ = ["find_plan"]

_ABSENT = (
    flax_errors.ScopeCollectionNotFound,
    flax_errors.ScopeVariableNotFoundError,
    flax_errors.ScopeParamNotFoundError,
)


def find_plan(trial: Trial, variables: Variables, training: bool, denied: set[str]) -> ModePlan:
    """Finds how a module is applied to variables in one mode.

    Args:
        trial: The module.
        variables: The variables.
        training: The mode.
        denied: Collections that it may not change.

    Raises:
        Exception: What the module raises when it is applied to such variables.
    """
    try:
        return _plan_denied(trial, variables, training, denied)
    except _ABSENT:
        # `nn.map_variables(init=True)` refuses params that may not change beside state that may
        opened = _plan_opened(trial, variables, training, denied)
        if opened is None:
            raise
    return opened


def _plan_opened(
    trial: Trial, variables: Variables, training: bool, denied: set[str]
) -> ModePlan | None:
    try:
        plan = _plan_denied(trial, variables, training, set())
    except Exception:  # in any way: then it is the first failure that counts
        return None
    updates = dict(plan.updates)
    made = {name: updates.pop(name) for name in denied if name in updates}
    if all(same_structure(variables.get(name), tree) for name, tree in made.items()):
        return replace(plan, updates=updates)  # C3: what it makes of params is not kept
    return None


def _plan_denied(trial: Trial, variables: Variables, training: bool, denied: set[str]) -> ModePlan:
    if not training and any(not argument.required for argument in trial.call.keys):
        # R5: at inference a method gets keys that it can do without only if it cannot.
        with contextlib.suppress(Exception):  # a real fault comes again
            return _plan_keyed(trial, variables, training, denied, optional_keys=())
    names = keyed_names(trial.call.keys, trial.call.rngs)
    return _plan_keyed(trial, variables, training, denied, optional_keys=names)


def _plan_keyed(
    trial: Trial,
    variables: Variables,
    training: bool,
    denied: set[str],
    *,
    optional_keys: tuple[str, ...],
) -> ModePlan:
    plan = ModePlan(training, (), tuple(sorted(denied)), None, {}, optional_keys)
    keys = [key for key in trial.call.keys if key.required or key.name in optional_keys]
    offered = trial.call.flax_module.facts.offered_streams(init=False)
    if offered is None or not _is_free(trial):
        return _plan_by_search(trial, plan, variables, keys)
    found, supplied = _searched(trial, plan, variables, keys) if keys else (plan, set[str]())
    names = tuple(dict.fromkeys((*offered, *found.streams)))
    return _plan_by_need(trial, plan, variables, names, _asked(supplied, keys))


def _is_free(trial: Trial) -> bool:
    # Streams that the user listed are all used, and what runs op by op tells no need.
    return trial.call.rngs is None and trial.abstract


def _plan_by_search(
    trial: Trial, plan: ModePlan, variables: Variables, keys: Sequence[KeyArgument]
) -> ModePlan:
    plan, supplied = _searched(trial, plan, variables, keys)
    spare = supplied - _asked(supplied, keys)
    if not spare or not _is_free(trial):
        return plan
    needed = _plan_by_need(trial, plan, variables, plan.streams, set()).streams
    streams = tuple(n for n in plan.streams if n in needed or n not in spare)
    try:
        trial.apply(variables, streams, plan.training, plan.denied, plan.optional_keys)
    except flax_errors.InvalidRngError:  # the module draws from it by its name, too, for nothing
        return plan
    return replace(plan, streams=streams)


def _searched(
    trial: Trial, plan: ModePlan, variables: Variables, keys: Sequence[KeyArgument]
) -> tuple[ModePlan, set[str]]:
    """Returns the plan with streams and results, and the streams that arguments were given."""
    supplied: set[str] = set()

    def run(streams: tuple[str, ...]) -> tuple[PyTree, dict[str, PyTree]]:
        result = trial.apply(variables, streams, plan.training, plan.denied, plan.optional_keys)
        supplied.clear()
        supplied.update(noted_keys())
        return result

    (output, updates), streams = find_streams(
        trial.call.flax_module,
        run,
        start=tuple(key.stream for key in keys if key.stream is not None),
        listed=trial.call.rngs,
        # R1: at inference a stream is offered only to a module that cannot do without.
        optimistic=plan.training,
        supplies=bool(keys),
    )
    return replace(plan, streams=streams, output=output, updates=updates), supplied


def _asked(supplied: set[str], keys: Sequence[KeyArgument]) -> set[str]:
    # R4: a key that nothing is drawn from may be any key, but the streams of an nnx.Rngs must be
    # there when they are asked for.
    return set(supplied) if any(key.kind == "rngs" for key in keys) else set()


def _plan_by_need(
    trial: Trial,
    plan: ModePlan,
    variables: Variables,
    offered: tuple[str, ...],
    asked: set[str],
) -> ModePlan:
    def apply(variables: PyTree, arrays: Sequence[Array], *keys: PyTree) -> PyTree:
        return trial.call.apply(
            variables,
            dict(zip(offered, keys, strict=True)),
            arrays,
            training=plan.training,
            mutable=plan.mutable,
            optional_keys=plan.optional_keys,
        )

    keys = abstract_keys(offered).values()
    bound = trial.call.bound
    with trial.call.merging_repeats(depends=True):
        traced = TracedFunction(apply, dict(variables), trial.arrays, *keys, bound=bound)
    # R1: those that a result depends on; a transform hands on what it does not use.
    drawn = [n for i, n in enumerate(offered) if traced.needs(2 + i) or n in asked]
    output, updates = traced.result
    return replace(plan, streams=tuple(sorted(drawn)), output=output, updates=updates)
