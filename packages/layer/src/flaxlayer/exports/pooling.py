"""A traced program in which windows have no more dimensions than ONNX's pooling (S4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.extend import core

from flaxlayer.compat.jax_primitives import Window, called_program, run_equation, window_of
from flaxlayer.typing import Array
from flaxlayer_core import eval_jaxpr

__all__ = ["with_plain_pooling"]

# ONNX Runtime pools over three dimensions at most; a batch of images of JAX has four.
_DIMENSIONS = 3


def with_plain_pooling(traced: core.ClosedJaxpr) -> Callable[..., list[Array]]:
    """Returns a program as a function in which only the dimensions of a window are pooled.

    Args:
        traced: A program as JAX traced it.

    Example:

    ```python
    >>> import flax.linen as nn, jax, numpy as np
    >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> traced = jax.make_jaxpr(lambda x: nn.max_pool(x, (2, 2), (2, 2)))(x)
    >>> with_plain_pooling(traced)(x)[0].ravel().tolist()
    [5.0, 7.0, 13.0, 15.0]

    ```
    """
    return lambda *arrays: eval_jaxpr(traced.jaxpr, traced.consts, arrays, _run)


def _run(equation: core.JaxprEqn, inputs: Sequence[Array]) -> Sequence[Array]:
    called, window = called_program(equation), window_of(equation)
    if called is not None:
        return eval_jaxpr(*called, inputs, _run)
    if window is not None and len(window.sizes) > _DIMENSIONS:
        return [_pool(window, inputs[0])]
    return run_equation(equation, inputs)


def _pool(window: Window, array: Array) -> jax.Array:
    per_axis = zip(window.sizes, window.strides, window.padding, strict=True)
    whole = [axis for axis, kind in enumerate(per_axis) if kind == (1, 1, (0, 0))]
    pooled = [axis for axis in range(array.ndim) if axis not in whole]
    order = [*whole, *pooled]
    moved = jnp.transpose(array, order)
    flat = moved.reshape(-1, *(array.shape[axis] for axis in pooled))
    result = window.pool(flat, [whole[0], *pooled])
    unpooled = result.reshape(*moved.shape[: len(whole)], *result.shape[1:])
    return jnp.transpose(unpooled, [order.index(axis) for axis in range(array.ndim)])
