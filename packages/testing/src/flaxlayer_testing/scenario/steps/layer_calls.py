"""Steps that call the layer, and read what a call will use (§4, §5)."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.oracle.call import RawCall
from flaxlayer_testing.oracle.model import Result
from flaxlayer_testing.scenario.steps.step_kinds import scenario_step
from flaxlayer_testing.scenario.world import World
from flaxlayer_testing.subject.layer import peeked_keys

__all__ = ["call", "peek", "take_call"]


@scenario_step(
    *("A2", "A5", "A6", "C3", "C4", "C5", "C7", "R2"),
    on_built=False,
    training=(False, True, None),
    batch=(2, 1, 3, 5, 0),
    seed=(0, 1, 2),
    statics=(0, 1, 2),
)
def call(world: World, *, training: bool | None, batch: int, seed: int, statics: int = 0) -> None:
    """Calls the layer in its surrounding."""
    take_call(world, world.call_with(batch=batch, seed=seed, statics=statics), training)


def take_call(world: World, raw: RawCall, training: bool | None) -> None:
    """Calls the layer, and compares outputs, state, sown values and losses with the laws."""
    mode = bool(training)
    expected = world.expect(raw, training=mode)
    if isinstance(expected, Exception):
        _expect_refusal(world, raw, mode, expected)
        return
    result, state = expected
    actual = world.run_layer(raw, training)
    world.compare_outputs(result, actual, f"outputs of a call with training={training}")
    world.state = state
    world.compare(f"after a call with training={training}")
    _compare_sown(world, result)


def _expect_refusal(world: World, raw: Any, training: bool, error: Exception) -> None:
    # What raw Flax refuses for its shape must not pass; Keras itself may refuse it first.
    try:
        world.run_layer(raw, training)
    except Exception:
        world.compare("after a call that raw Flax refuses")
        return
    raise KeepLawError(
        "The layer takes a call that raw Flax refuses.",
        expected=f"{type(error).__name__}: {error}"[:300],
        found="outputs",
        law="A1",
    )


def _compare_sown(world: World, result: Result) -> None:
    layer = world.held.layer
    if world.held.model is not layer:
        return  # inside a model they are Keras's
    world.compare_values(result.sown, dict(layer.sown), "sown values on the layer")
    total = sum(map(np.asarray, layer.losses), np.zeros((), np.float32))
    world.compare_values(
        np.asarray(result.loss, np.float32), np.asarray(total, np.float32), "losses", inlined=True
    )


@scenario_step("R4", training=(True, False))
def peek(world: World, *, training: bool) -> None:
    """Reads the keys of the next call, which draws none."""
    expected = world.laws.keys(world.state, world.raw, training=training)
    found = dict(peeked_keys(world.held.layer, training=training))
    data = [
        {name: jax.random.key_data(key) for name, key in keys.items()} for keys in (expected, found)
    ]
    compare_trees(*data, bitwise=True, path="keys of the next call")
    world.compare("after a look at the next keys")
