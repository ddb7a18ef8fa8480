"""A traced program in which windows have no more dimensions than ONNX's pooling (S4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jax.extend import core

from flaxlayer_core import eval_jaxpr

__all__ = ["with_plain_pooling"]

# ONNX Runtime pools over three dimensions at most; a batch of images of JAX has four.
_DIMENSIONS = 3
_POOLS = ("reduce_window_max", "reduce_window_sum")
# Functions inside a program, by where their own programs stand.
_CALLS: Mapping[str, str] = {
    "checkpoint": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "jit": "jaxpr",
    "pjit": "jaxpr",
}


def with_plain_pooling(traced: core.ClosedJaxpr) -> Callable[..., list[Any]]:
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


def _run(equation: Any, inputs: Sequence[Any]) -> Sequence[Any]:
    primitive, params = equation.primitive, equation.params
    if primitive.name in _CALLS:
        inner = params[_CALLS[primitive.name]]
        return eval_jaxpr(
            getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), inputs, _run
        )
    if primitive.name in _POOLS and len(params["window_dimensions"]) > _DIMENSIONS:
        return [_pool(primitive, params, inputs[0])]
    outputs = primitive.bind(*inputs, **params)
    return outputs if primitive.multiple_results else [outputs]


def _pool(primitive: Any, params: Mapping[str, Any], array: Any) -> Any:
    per_axis = [params[name] for name in ("window_dimensions", "window_strides", "padding")]
    whole = [
        axis
        for axis, (size, stride, padding) in enumerate(zip(*per_axis, strict=True))
        if size == stride == 1 and tuple(padding) == (0, 0)
    ]
    pooled = [axis for axis in range(array.ndim) if axis not in whole]
    order = [*whole, *pooled]
    moved = jnp.transpose(array, order)
    flat = moved.reshape(-1, *(array.shape[axis] for axis in pooled))
    kept = {
        name: (value[whole[0]], *(value[axis] for axis in pooled))
        for name, value in params.items()
        if isinstance(value, tuple) and len(value) == array.ndim
    }
    result = primitive.bind(flat, **{**params, **kept})
    unpooled = result.reshape(*moved.shape[: len(whole)], *result.shape[1:])
    return jnp.transpose(unpooled, [order.index(axis) for axis in range(array.ndim)])
