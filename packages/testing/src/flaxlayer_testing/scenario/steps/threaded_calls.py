"""Steps in which several threads call the layer at once (A8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.errors import KeepLawError, ParityError, in_short
from flaxlayer_testing.oracle.call import RawCall
from flaxlayer_testing.oracle.model import LayerState, Result
from flaxlayer_testing.scenario.script import Script, indented
from flaxlayer_testing.scenario.steps.step_kinds import scenario_step
from flaxlayer_testing.scenario.world import World
from flaxlayer_testing.subject.keras_parts import global_policy
from flaxlayer_testing.subject.layer import variables_of
from flaxlayer_testing.subject.simultaneous import call_at_once

__all__ = ["call_first_in_threads", "call_in_threads"]

THREADS, CALLS = 4, 3


def _alone(world: World) -> bool:
    itself = world.held.model is world.held.layer and world.surrounding == "alone"
    return itself and world.oracle.traceable and current_backend().name == "jax"


def _lines(script: Script, state: LayerState, raw: RawCall, *, training: bool) -> list[str]:
    """Returns the lines of all calls, each beside raw Flax."""
    world, before, lines = script.world, script.world.state, ["wanted = []"]
    world.state = state
    for _ in range(THREADS * CALLS):
        lines += [*script.apart(world.state, raw, training=training), "wanted.append(expected)"]
        world.state = script.drawn(raw, training=training)
    world.state = before
    pool = f"with concurrent.futures.ThreadPoolExecutor({THREADS}) as pool:"
    call = f"layer(*tensors(inputs), training={training}, **tensors(arguments))"
    found = f"found = list(pool.map(lambda _: {call}, range({THREADS * CALLS})))"
    return [*lines, *indented([found], pool), "each_once(wanted, found)"]


def _threads_text(script: Script, *, training: bool = False) -> list[str]:
    world = script.world
    raw, before = world.call_with(batch=2, seed=1), world.state
    expected = _one_by_one(world, before, raw, training=training)
    if expected is None:
        return []
    lines = _lines(script, before, raw, training=training)
    after = script.holds(replace(before, draws=expected[1].draws))
    return [*script.arguments(world.case_with(batch=2, seed=1)), *lines, after]


@scenario_step(
    *("A8", "R2", "C3"), fits=_alone, on_built=False, training=(False, True), text=_threads_text
)
def call_in_threads(world: World, *, training: bool = False) -> None:
    """Calls the layer from several threads at once: as if one after the other."""
    raw = world.call_with(batch=2, seed=1)
    expected = _one_by_one(world, world.state, raw, training=training)
    if expected is None:
        return
    wanted, world.state = expected
    found = _at_once(lambda: world.run_layer(raw, training))
    _match(world, wanted, found)
    world.compare("after calls from several threads")


def _starts_anew(world: World) -> bool:
    return _alone(world) and world.is_as_made


def _first_text(script: Script, *, training: bool) -> list[str]:
    world, size = script.world, script.world.case.batch_size
    raw = world.call_with(batch=size, seed=1)
    if _one_by_one(world, world.started(), raw, training=training) is None:
        return []
    lines = _lines(script, world.started(), raw, training=training)
    lines.append("same(variables, copied(layer.flax_variables()))")
    lines.append("assert len({v.path for v in layer.variables}) == len(layer.variables)")
    case = world.case_with(batch=size, seed=1)
    return [*script.arguments(case), *script.of_another(*lines)]


@scenario_step(
    *("A8", "B3"),
    fits=_starts_anew,
    on_built=False,
    training=(False, True),
    text=_first_text,
)
def call_first_in_threads(world: World, *, training: bool) -> None:
    """Calls a new layer of the same settings from several threads at once, which builds it once."""
    raw = world.call_with(batch=world.case.batch_size, seed=1)
    expected = _one_by_one(world, world.started(), raw, training=training)
    if expected is None:
        return
    wanted, state = expected
    with global_policy(world.drawn.policy):
        layer = world.new_layer()
    _match(world, wanted, _at_once(lambda: world.run_apart(layer, raw, training)))
    path = "variables of a layer that several threads built"
    world.compare_values(state.variables, variables_of(layer), path)
    names = [variable.path for variable in layer.variables]
    if len(set(names)) < len(names):
        raise KeepLawError(
            "A layer that several threads call first is built more than once.",
            expected="each variable once",
            found=", ".join(names),
            law="A8",
        )


def _one_by_one(
    world: World, state: LayerState, raw: RawCall, *, training: bool
) -> tuple[list[Result], LayerState] | None:
    """Returns what calls give one after the other, and the state after them; None if refused."""
    wanted = []
    for _ in range(THREADS * CALLS):
        expected = world.expect_apart(state, raw, training=training)
        if expected is None:
            return None
        result, state = expected
        wanted.append(result)
    return wanted, state


def _at_once(call: Callable[[], Any]) -> list[Any]:
    results, errors = call_at_once(call, threads=THREADS, calls=CALLS)
    if errors:
        raise KeepLawError(
            "A layer cannot be called by several threads.",
            expected=f"{THREADS * CALLS} calls that give their outputs",
            found=in_short(errors[0]),
            law="A8",
        ) from errors[0]
    return results


def _match(world: World, wanted: Sequence[Result], found: Sequence[Any]) -> None:
    """Finds for each output the call that gives it, as threads may come in any order."""
    left = list(wanted)
    for actual in found:
        place = next((at for at, one in enumerate(left) if _same(world, one, actual)), None)
        if place is None:  # says how it differs
            world.compare_outputs(left[0], actual, "outputs of a call in a thread")
            return
        del left[place]


def _same(world: World, expected: Result, actual: Any) -> bool:
    try:
        world.compare_outputs(expected, actual, "outputs")
    except ParityError:
        return False
    return True
