"""Steps that train: inside Keras's `fit`, beside gradient descent on raw apply (K1)."""

from __future__ import annotations

import keras

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.oracle.call import RawCall
from flaxlayer_testing.scenario.steps.step_kinds import scenario_step
from flaxlayer_testing.scenario.world import World
from flaxlayer_testing.subject.keras_parts import ProbeModel, global_policy

__all__ = ["fit", "train_on_batch"]

RATE = 0.125


def _trains(world: World) -> bool:
    oracle = world.oracle
    arrays = world.raw.arrays
    once = len(world.place.parts(world.raw)) == 1
    return once and oracle.traceable and bool(arrays) and all(array.ndim for array in arrays)


def _model(world: World, raw: RawCall) -> ProbeModel:
    model = ProbeModel(world.held.model, raw, world.held.run)
    model.compile(keras.optimizers.SGD(RATE))
    return model


def _follow(world: World, raw: RawCall, steps: int, when: str) -> None:
    for _ in range(steps):
        seen = world.seen_by_module(raw)
        world.state = world.laws.step(world.state, seen, RATE, current_backend().descent)
    world.compare(when, inlined=True)


@scenario_step("K1", "C2", "C5", "C7", "R2", fits=_trains, on_built=False, steps=(1, 2))
def fit(world: World, *, steps: int) -> None:
    """Takes steps of SGD inside `fit`."""
    raw, read = world.given_by_caller(world.raw), world.read_variables()
    batches = current_backend().batches(raw.arrays, any_batch=world.oracle.takes_any_batch)
    with global_policy(world.drawn.policy):
        model = _model(world, raw)
        model.fit(batches, epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0)
    read()
    _follow(world, raw, steps, f"after {steps} steps of fit")


@scenario_step("K1", "C2", "C5", "C7", "R2", fits=_trains, on_built=False)
def train_on_batch(world: World) -> None:
    """Takes a step of SGD by `train_on_batch`."""
    raw = world.given_by_caller(world.raw)
    with global_policy(world.drawn.policy):
        _model(world, raw).train_on_batch(current_backend().to_backend(raw.arrays))
    _follow(world, raw, 1, "after train_on_batch")
