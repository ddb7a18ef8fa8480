"""State that no linen layer keeps: counters, averages, what only one mode makes."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

__all__ = [
    "boxed_sum",
    "count_calls",
    "count_steps",
    "guarded_average",
    "inference_trace",
    "moving_average",
    "training_trace",
]


def count_steps(
    module: nn.Module, x: jax.Array, *, name: str, training: bool, at_init: bool
) -> jax.Array:
    """Counts training calls, `init` too if `at_init`; scales by the count before this call."""
    count = module.variable("counters", name, lambda: jnp.zeros((), jnp.int32))
    y = x * (1 + count.value.astype(x.dtype) / 8)
    if training and (at_init or not module.is_initializing()):
        count.value += 1
    return y


def count_calls(module: nn.Module, x: jax.Array, *, name: str) -> jax.Array:
    """Counts calls in both modes; shifts by the count before this call."""
    count = module.variable("calls", name, lambda: jnp.zeros((), jnp.int32))
    y = x + count.value.astype(x.dtype) / 8
    if not module.is_initializing():
        count.value += 1
    return y


def moving_average(
    module: nn.Module, x: jax.Array, *, name: str, training: bool, decay: float
) -> jax.Array:
    """Follows the mean of each feature in training; subtracts the mean so far."""
    axes = tuple(range(x.ndim - 1))
    mean = module.variable("averages", name, lambda: jnp.zeros(x.shape[-1:], jnp.float32))
    y = x - mean.value.astype(x.dtype)
    if training and not module.is_initializing():
        now = jnp.mean(x.astype(jnp.float32), axis=axes)
        mean.value = decay * mean.value + (1 - decay) * now
    return y


def guarded_average(module: nn.Module, x: jax.Array, *, name: str) -> jax.Array:
    """Follows the mean of the absolute value whenever its collection may be changed."""
    level = module.variable("levels", name, lambda: jnp.ones((), jnp.float32))
    y = x * level.value.astype(x.dtype)
    if module.is_mutable_collection("levels") and not module.is_initializing():
        now = jnp.mean(jnp.abs(x.astype(jnp.float32)))
        level.value = 0.75 * level.value + 0.25 * now
    return y


def training_trace(module: nn.Module, x: jax.Array, *, name: str, training: bool) -> jax.Array:
    """Remembers the largest value that training saw; only training makes the variable."""
    if not training:
        return x
    peak = module.variable("peaks", name, lambda: jnp.zeros((), jnp.float32))
    y = x / (1 + peak.value.astype(x.dtype))
    if not module.is_initializing():
        peak.value = jnp.maximum(peak.value, jnp.max(jnp.abs(x.astype(jnp.float32))))
    return y


def inference_trace(module: nn.Module, x: jax.Array, *, name: str, training: bool) -> jax.Array:
    """Sums what inference saw; only inference makes the variable."""
    if training:
        return x
    total = module.variable("totals", name, lambda: jnp.zeros((), jnp.float32))
    y = x + total.value.astype(x.dtype) / 8
    if not module.is_initializing():
        total.value = total.value + jnp.mean(x.astype(jnp.float32))
    return y


def boxed_sum(module: nn.Module, x: jax.Array, *, name: str) -> jax.Array:
    """Sums each feature at every call; the state carries partition metadata."""
    init = nn.with_partitioning(nn.initializers.zeros_init(), ("model",))
    sums: Any = module.variable("sums", name, lambda: init(jax.random.key(0), x.shape[-1:]))
    y: jax.Array = x + sums.value.astype(x.dtype) / 8
    if not module.is_initializing():
        axes = tuple(range(x.ndim - 1))
        sums.value = sums.value + jnp.mean(x.astype(jnp.float32), axis=axes)
    return y
