"""Steps that call the layer in a context which changes what raw Flax does (A6)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jax

from flaxlayer_testing.scenario.steps.layer_calls import take_call
from flaxlayer_testing.scenario.steps.step_kinds import scenario_step
from flaxlayer_testing.scenario.world import World

__all__ = ["call_in_context"]

CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "rbg": lambda: jax.default_prng_impl("rbg"),
    "x64": lambda: jax.enable_x64(True),
    "precision": lambda: jax.default_matmul_precision("bfloat16"),
    "no_jit": lambda: jax.disable_jit(),
}


@scenario_step(
    "A6", "R3", context=tuple(CONTEXTS), training=(True, False), batch=(2, 3), on_built=True
)
def call_in_context(world: World, *, context: str, training: bool, batch: int) -> None:
    """Calls the layer in a context, and raw Flax in the same."""
    with CONTEXTS[context](), world.context(context):
        take_call(world, world.call_with(batch=batch, seed=3), training)
