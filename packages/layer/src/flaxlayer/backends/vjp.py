"""Gradients of functions of JAX as functions of flat arrays, which any backend can run.

They are JAX's: of complex functions other libraries have the conjugates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp

from flaxlayer.typing import Array, FlatCallable

__all__ = [
    "NO_GRADIENT",
    "VJP",
    "apply_vjp",
    "differentiable_positions",
    "differentiate",
    "stop_gradients",
    "vjp_function",
    "without_gradient",
]

VJP: TypeAlias = Callable[[list[jax.Array]], Sequence[jax.Array]]
"""What `jax.vjp` returns: a pytree of residuals, called with the cotangents."""

# What JAX raises for what it has no gradient of, such as a `while_loop`.
NO_GRADIENT = (NotImplementedError, TypeError, ValueError)


def differentiate(
    function: FlatCallable, arrays: Sequence[jax.Array], free: Sequence[int]
) -> tuple[list[jax.Array], VJP]:
    """Returns what a function gives, and what `apply_vjp` takes: a pytree of its residuals.

    Args:
        function: Takes and returns flat arrays.
        arrays: What it is given.
        free: The positions of those that it is differentiated by.
    """

    def primal(*given: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
        merged = list(arrays)
        for index, value in zip(free, given, strict=True):
            merged[index] = value
        outputs = list(function(*merged))
        return [outputs[index] for index in differentiable_positions(outputs)], outputs

    _, vjp, outputs = jax.vjp(primal, *(arrays[index] for index in free), has_aux=True)
    return outputs, vjp


def apply_vjp(vjp: VJP, cotangents: Sequence[jax.Array]) -> list[jax.Array]:
    """Returns the gradients for cotangents of the results that have any."""
    return list(vjp(list(cotangents)))


def vjp_function(
    function: FlatCallable, count: int, free: Sequence[int]
) -> Callable[..., list[jax.Array]]:
    """Returns the function that gives the gradients of a function of JAX.

    Args:
        function: Takes and returns flat arrays.
        count: How many it takes.
        free: The positions of those that it is differentiated by.

    Returns:
        A function of all arrays and of the cotangents of the results that have gradients.
    """

    def gradients(*arrays: jax.Array) -> list[jax.Array]:
        _, vjp = differentiate(function, arrays[:count], free)
        return apply_vjp(vjp, arrays[count:])

    return gradients


def without_gradient(
    function: FlatCallable, inputs: Sequence[jax.ShapeDtypeStruct], free: Sequence[int]
) -> tuple[frozenset[int], str]:
    """Finds the results that JAX has no gradient of, where it has one of others.

    JAX itself fails only on those that a loss depends on: state that is kept, and what nobody looks
    at, may come from anything.

    Args:
        function: Takes and returns flat arrays.
        inputs: Abstract arrays.
        free: The positions of those that it is differentiated by.

    Returns:
        Their positions, and what JAX says of the last of them.
    """
    outputs = jax.eval_shape(function, *inputs)
    cotangents = [outputs[position] for position in differentiable_positions(outputs)]
    found, words = set(), ""
    pending = [differentiable_positions(outputs)]
    while pending:
        asked = pending.pop()
        others = frozenset(range(len(outputs))) - set(asked)
        alone = vjp_function(stop_gradients(function, others), len(inputs), free)
        try:
            jax.eval_shape(alone, *inputs, *cotangents)
        except NO_GRADIENT as error:
            words = str(error).partition("\n")[0]
            half = len(asked) // 2
            pending += [asked[:half], asked[half:]] if half else []
            found |= set() if half else set(asked)
    return frozenset(found), words


def stop_gradients(
    function: FlatCallable, blocked: frozenset[int]
) -> Callable[..., list[jax.Array]]:
    """Returns a function with no gradient of some of its results.

    Args:
        function: Takes and returns flat arrays.
        blocked: The positions of those results.
    """

    def stopped(*arrays: jax.Array) -> list[jax.Array]:
        outputs = function(*arrays)
        return [
            jax.lax.stop_gradient(output) if index in blocked else output
            for index, output in enumerate(outputs)
        ]

    return stopped


def differentiable_positions(arrays: Sequence[Array]) -> tuple[int, ...]:
    """Returns the positions of the arrays that have gradients."""
    return tuple(i for i, array in enumerate(arrays) if jnp.issubdtype(array.dtype, jnp.inexact))
