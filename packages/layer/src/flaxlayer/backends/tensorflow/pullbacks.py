"""Gradients of functions of JAX, in TensorFlow's sense."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["differentiate", "inexact", "pull_back", "pullback"]


def differentiate(
    function: Callable[..., Sequence[Any]], arrays: Sequence[Any], free: Sequence[int]
) -> tuple[list[Any], Any]:
    """Returns what a function gives, and what `pull_back` takes: a pytree of its residuals.

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
        return [outputs[index] for index in inexact(outputs)], outputs

    _, pull, outputs = jax.vjp(primal, *(arrays[index] for index in free), has_aux=True)
    return outputs, pull


def pull_back(pull: Callable[[list[Any]], Sequence[Any]], cotangents: Sequence[Any]) -> list[Any]:
    """Returns the gradients for cotangents of the results that have any."""
    # TensorFlow's gradients of complex functions are the conjugates of JAX's.
    return [_conjugate(gradient) for gradient in pull(list(map(_conjugate, cotangents)))]


def pullback(
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
        return pull_back(pull, arrays[count:])

    return gradients


def inexact(arrays: Sequence[Any]) -> tuple[int, ...]:
    """Returns the positions of the arrays that have gradients."""
    return tuple(i for i, array in enumerate(arrays) if jnp.issubdtype(array.dtype, jnp.inexact))


def _conjugate(array: Any) -> Any:
    return jnp.conj(array) if jnp.issubdtype(array.dtype, jnp.complexfloating) else array
