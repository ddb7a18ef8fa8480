"""Steps that call the layer in a context which changes what raw Flax does (A6)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax

from flaxlayer_testing.oracle.double_precision import ENABLE_X64, enable_x64
from flaxlayer_testing.scenario.printed.held_values import doubling
from flaxlayer_testing.scenario.script import Script, indented
from flaxlayer_testing.scenario.steps.layer_calls import take_call
from flaxlayer_testing.scenario.steps.step_kinds import scenario_step
from flaxlayer_testing.scenario.world import World

__all__ = ["call_in_context"]


CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "rbg": lambda: jax.default_prng_impl("rbg"),
    "x64": lambda: enable_x64(True),
    "precision": lambda: jax.default_matmul_precision("bfloat16"),
    "no_jit": lambda: jax.disable_jit(),
    "axis_rules": lambda: nn.logical_axis_rules([("batch", "data")]),
    "interceptor": lambda: nn.intercept_methods(doubling),
}


TEXTS = {
    "rbg": "jax.default_prng_impl('rbg')",
    "x64": f"{ENABLE_X64}(True)",
    "precision": "jax.default_matmul_precision('bfloat16')",
    "no_jit": "jax.disable_jit()",
    "axis_rules": "flax.linen.logical_axis_rules([('batch', 'data')])",
    "interceptor": "flax.linen.intercept_methods(doubling)",
}


def _text(script: Script, *, context: str, training: bool, batch: int) -> list[str]:
    world = script.world
    with CONTEXTS[context](), world.context(context):
        raw = world.call_with(batch=batch, seed=3)
        lines = [
            *script.arguments(world.case_with(batch=batch, seed=3)),
            *script.taken(raw, training, inlined=context == "interceptor"),
        ]
    return indented(lines, f"with {TEXTS[context]}:")


@scenario_step(
    *("A6", "R3"),
    context=tuple(CONTEXTS),
    training=(True, False),
    batch=(2, 3),
    on_built=True,
    text=_text,
)
def call_in_context(world: World, *, context: str, training: bool, batch: int) -> None:
    """Calls the layer in a context, and raw Flax in the same."""
    with CONTEXTS[context](), world.context(context):
        raw = world.call_with(batch=batch, seed=3)
        # An interceptor may do anything, so that nothing is compiled around it.
        take_call(world, raw, training, inlined=context == "interceptor")
