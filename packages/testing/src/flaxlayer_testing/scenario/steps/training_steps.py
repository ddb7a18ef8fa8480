"""Steps that train: inside Keras's `fit`, beside gradient descent on raw apply (K1)."""

from __future__ import annotations

from dataclasses import replace

import jax
import keras

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.oracle.call import RawCall
from flaxlayer_testing.oracle.model import Calls
from flaxlayer_testing.scenario.script import Script
from flaxlayer_testing.scenario.steps.step_kinds import scenario_step
from flaxlayer_testing.scenario.world import World
from flaxlayer_testing.subject.keras_parts import ProbeModel, global_policy

__all__ = ["fit", "train_on_batch"]

RATE = 0.125


def _trains(world: World) -> bool:
    oracle, raw = world.oracle, world.raw
    arrays = raw.arrays
    if not (oracle.traceable and arrays and all(array.ndim for array in arrays)):
        return False
    seen = world.seen_by_module(raw)  # with no mask, where it may lack one that it needs
    return seen is raw or oracle.accepts(seen)


def _model(world: World, raw: RawCall) -> ProbeModel:
    model = ProbeModel(world.held.model, raw, world.held.run)
    model.compile(keras.optimizers.SGD(RATE))
    return model


def _descent(script: Script, raw: RawCall, steps: int, fit: str) -> list[str]:
    world, settings = script.world, script.world.laws.settings
    args, kwargs = script.given(raw)
    seen = world.seen_by_module(raw)
    words = [f"trained={sorted(world.laws.trained(world.state))}", f"state={script.fed_back}"]
    words += [f"frozen={sorted(world.state.frozen)}"] if world.state.frozen else []
    words += [f"stored={sorted(world.oracle.eventual)}", f"losses={list(settings.losses)}"]
    words += [f"returned={list(settings.return_sown)}"] if settings.return_sown else []
    words += [f"weight={1 + settings.losses_behind}"] if settings.losses_behind else []
    words += script.settings(seen, training=True)
    joined = world.place.joined_text.format("first", "second")
    words += [f"joined=lambda first, second: {joined}"] if joined else []
    lines, state = list[str](), world.state
    for _ in range(steps):
        calls = []
        for part, text in zip(world.place.parts(seen), world.place.part_texts, strict=True):
            inputs, arguments = script.seen(raw, training=True)
            keys = script.keys(state, part, training=True)
            calls.append(f"({text or inputs}, {arguments}, {keys})")
            drawn = bool(world.laws.streams(part, training=True))
            state = replace(state, draws=state.draws + drawn)
        lines.append(
            f"variables = descend(raw, variables, [{', '.join(calls)}], {', '.join(words)})"
        )
    lent = ["lent = jax.tree.map(jnp.array, variables)", "layer.load_flax_variables(lent)"]
    lent = lent if _lends(world) else []
    return [
        *script.arguments(world.case),
        "before = layer.flax_variables() if layer.built else {}",
        *lent,
        f"read = copied([before{', lent' if lent else ''}])",
        f"arrays, _ = split(({args}, {kwargs}))",
        f"trained = Trained(model, run, {args}, {kwargs})",
        f"trained.compile(keras.optimizers.SGD({RATE}))",
        fit,
        f"same(read, [before{', lent' if lent else ''}])",
        *lines,
        script.holds(state, exact=False),
    ]


def _lends(world: World) -> bool:
    return bool(world.held.layer.built and world.oracle.stored)


def _lend(world: World) -> None:
    # Keras gives the arrays of variables away in a step: these are others.
    layer = world.held.layer
    if not _lends(world):
        return
    world.lend(layer.flax_variables(), "variables that were read before")
    given = jax.tree_util.tree_map(jax.numpy.array, dict(world.state.variables))
    layer.load_flax_variables(given)
    world.lend(given, "variables that were loaded before")


def _follow(world: World, raw: RawCall, steps: int, when: str) -> None:
    for _ in range(steps):
        calls = Calls(world.place.parts(world.seen_by_module(raw)), world.place.joined)
        world.state = world.laws.step(world.state, calls, RATE, current_backend().descent)
    world.compare(when, inlined=True)


def _fit_text(script: Script, *, steps: int) -> list[str]:
    sizes = "" if script.world.oracle.takes_any_batch else ", any_batch=False"
    batches = f"batches_of(tensors(arrays){sizes})"
    fit = f"trained.fit({batches}, epochs=1, steps_per_epoch={steps}, shuffle=False, verbose=0)"
    return _descent(script, script.world.raw, steps, fit)


@scenario_step(
    *("K1", "C2", "C5", "C7", "R2"), fits=_trains, on_built=False, steps=(1, 2), text=_fit_text
)
def fit(world: World, *, steps: int) -> None:
    """Takes steps of SGD inside `fit`."""
    raw = world.given_by_caller(world.raw)
    _lend(world)
    batches = current_backend().batches(raw.arrays, any_batch=world.oracle.takes_any_batch)
    with global_policy(world.drawn.policy):
        model = _model(world, raw)
        model.fit(batches, epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0)
    _follow(world, raw, steps, f"after {steps} steps of fit")


def _batch_text(script: Script) -> list[str]:
    return _descent(script, script.world.raw, 1, "trained.train_on_batch(tensors(arrays))")


@scenario_step("K1", "C2", "C5", "C7", "R2", fits=_trains, on_built=False, text=_batch_text)
def train_on_batch(world: World) -> None:
    """Takes a step of SGD by `train_on_batch`."""
    raw = world.given_by_caller(world.raw)
    with global_policy(world.drawn.policy):
        _model(world, raw).train_on_batch(current_backend().to_backend(raw.arrays))
    _follow(world, raw, 1, "after train_on_batch")
