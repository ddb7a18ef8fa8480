"""Steps that call the layer in a context which changes what raw Flax does (A6)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax

from flaxlayer_testing.scenario.steps.layer_calls import take_call
from flaxlayer_testing.scenario.steps.step_kinds import scenario_step
from flaxlayer_testing.scenario.world import World

__all__ = ["call_in_context"]


def _doubling(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
    outputs = call(*args, **kwargs)
    if context.method_name != "__call__":
        return outputs
    return jax.tree_util.tree_map(lambda y: y + y if _floats(y) else y, outputs)


def _floats(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating)


CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "rbg": lambda: jax.default_prng_impl("rbg"),
    "x64": lambda: jax.enable_x64(True),
    "precision": lambda: jax.default_matmul_precision("bfloat16"),
    "no_jit": lambda: jax.disable_jit(),
    "axis_rules": lambda: nn.logical_axis_rules([("batch", "data")]),
    "interceptor": lambda: nn.intercept_methods(_doubling),
}


@scenario_step(
    "A6", "R3", context=tuple(CONTEXTS), training=(True, False), batch=(2, 3), on_built=True
)
def call_in_context(world: World, *, context: str, training: bool, batch: int) -> None:
    """Calls the layer in a context, and raw Flax in the same."""
    with CONTEXTS[context](), world.context(context):
        raw = world.call_with(batch=batch, seed=3)
        # An interceptor may do anything, so that nothing is compiled around it.
        take_call(world, raw, training, inlined=context == "interceptor")
