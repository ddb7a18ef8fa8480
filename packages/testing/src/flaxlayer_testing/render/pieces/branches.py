"""Lifted transforms that branch, loop, differentiate and map variables."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

__all__ = [
    "branch",
    "choose",
    "double_gradient",
    "fold_streams",
    "loop",
]


def loop(module: nn.Module, x: jax.Array, *, name: str) -> jax.Array:
    """Halves a value in a loop that counts its rounds as state."""
    rounds = module.variable("rounds", name, lambda: jnp.zeros((), jnp.int32))
    if module.is_initializing():
        return x
    last = rounds.value + 2

    def proceed(module: nn.Module, y: jax.Array) -> jax.Array:
        return module.get_variable("rounds", name) < last

    def body(module: nn.Module, y: jax.Array) -> jax.Array:
        module.put_variable("rounds", name, module.get_variable("rounds", name) + 1)
        return y / 2

    # JAX has no reverse mode through a loop of unknown length.
    start = jax.lax.stop_gradient(x)
    lifted: Any = nn.while_loop
    y: jax.Array = x + lifted(proceed, body, module, start, carry_variables="rounds")
    return y


def branch(module: nn.Module, x: jax.Array, *, name: str) -> jax.Array:
    """Runs one of two layers by the sign of a value, and counts how often it was the first."""
    count = module.variable("branches", name, lambda: jnp.zeros((), jnp.int32))
    first, second = nn.Dense(x.shape[-1]), nn.Dense(x.shape[-1])
    if module.is_initializing():
        return first(x) + second(x)
    value = count.value

    def positive(module: nn.Module, x: jax.Array) -> jax.Array:
        module.put_variable("branches", name, value + 1)
        return first(x)

    def negative(module: nn.Module, x: jax.Array) -> jax.Array:
        module.put_variable("branches", name, value)
        return second(x)

    return nn.cond(x.reshape(-1)[0] > 0, positive, negative, module, x)


def choose(module: nn.Module, x: jax.Array) -> jax.Array:
    """Runs one of three layers by the place of the largest of the first values."""
    experts = [nn.Dense(x.shape[-1]) for _ in range(3)]
    if module.is_initializing():
        return experts[0](x) + experts[1](x) + experts[2](x)
    index = jnp.argmax(x.reshape(x.shape[0], -1)[0]) % 3
    branches = [lambda module, x, expert=expert: expert(x) for expert in experts]
    y: jax.Array = nn.switch(index, branches, module, x)
    return y


def double_gradient(x: jax.Array) -> jax.Array:
    """Applies a dense layer whose input gets twice its gradient."""

    def run(module: nn.Module, x: jax.Array) -> Any:
        return module(x)

    def forward(module: nn.Module, x: jax.Array) -> Any:
        return nn.vjp(run, module, x)

    def backward(pullback: Any, cotangent: jax.Array) -> Any:
        params, inputs = pullback(cotangent)
        return params, 2 * inputs

    dense = nn.Dense(x.shape[-1])
    y: jax.Array = nn.custom_vjp(run, forward_fn=forward, backward_fn=backward)(dense, x)
    return y


def fold_streams(x: jax.Array, *, rate: float, training: bool) -> jax.Array:
    """Drops elements by a stream that is folded first."""
    y: jax.Array = nn.fold_rngs(nn.Dropout)(rate)(x, deterministic=not training)
    return y
