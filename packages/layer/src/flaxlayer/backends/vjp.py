"""Gradients of functions of JAX, in TensorFlow's sense."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

__all__ = [
    "NO_GRADIENT",
    "apply_vjp",
    "differentiable_positions",
    "differentiate",
    "stop_gradients",
    "vjp_function",
    "without_gradient",
]

# What JAX raises for what it has no gradient of, such as a `while_loop`.
NO_GRADIENT = (NotImplementedError, TypeError, ValueError)


def differentiate(
    function: Callable[..., Sequence[Any]], arrays: Sequence[Any], free: Sequence[int]
) -> tuple[list[Any], Any]:
    """Returns what a function gives, and what `apply_vjp` takes: a pytree of its residuals.

    Args:
        function: Takes and returns flat arrays.
        arrays: What it is given.
        free: The positions of those that it is differentiated by.
    """

    def primal(*given: Any) -> tuple[list[Any], list[Any]]:
        merged = list(arrays)
        for index, value in zip(free, given, strict=True):
            merged[index] = value
        outputs = list(function(*merged))
        return [outputs[index] for index in differentiable_positions(outputs)], outputs

    _, pull, outputs = jax.vjp(primal, *(arrays[index] for index in free), has_aux=True)
    return outputs, pull


def apply_vjp(pull: Callable[[list[Any]], Sequence[Any]], cotangents: Sequence[Any]) -> list[Any]:
    """Returns the gradients for cotangents of the results that have any."""
    # TensorFlow's gradients of complex functions are the conjugates of JAX's.
    return [_conjugate(gradient) for gradient in pull(list(map(_conjugate, cotangents)))]


def vjp_function(
    function: Callable[..., Sequence[Any]], count: int, free: Sequence[int]
) -> Callable[..., list[Any]]:
    """Returns the function that gives the gradients of a function of JAX.

    Args:
        function: Takes and returns flat arrays.
        count: How many it takes.
        free: The positions of those that it is differentiated by.

    Returns:
        A function of all arrays and of the cotangents of the results that have gradients.
    """

    def gradients(*arrays: Any) -> list[Any]:
        _, pull = differentiate(function, arrays[:count], free)
        return apply_vjp(pull, arrays[count:])

    return gradients


def without_gradient(
    function: Callable[..., Sequence[Any]], inputs: Sequence[Any], free: Sequence[int]
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
    function: Callable[..., Sequence[Any]], blocked: frozenset[int]
) -> Callable[..., list[Any]]:
    """Returns a function with no gradient of some of its results.

    Args:
        function: Takes and returns flat arrays.
        blocked: The positions of those results.
    """

    def stopped(*arrays: Any) -> list[Any]:
        outputs = function(*arrays)
        return [
            jax.lax.stop_gradient(output) if index in blocked else output
            for index, output in enumerate(outputs)
        ]

    return stopped


def differentiable_positions(arrays: Sequence[Any]) -> tuple[int, ...]:
    """Returns the positions of the arrays that have gradients."""
    return tuple(i for i, array in enumerate(arrays) if jnp.issubdtype(array.dtype, jnp.inexact))


def _conjugate(array: Any) -> Any:
    return jnp.conj(array) if jnp.issubdtype(array.dtype, jnp.complexfloating) else array
