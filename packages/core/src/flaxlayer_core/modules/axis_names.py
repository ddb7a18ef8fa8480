"""Axes that a module names for its collectives, where nothing binds them (A6)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp

from flaxlayer_core.compat.private_jax import unbound_axis

__all__ = ["bind_axes"]

Result = TypeVar("Result")


def bind_axes(run: Callable[[], Result]) -> Result:
    """Runs a module, with an axis of one element for each name that nothing around it binds.

    `nn.BatchNorm(axis_name="batch")` takes the mean over such an axis; raw Flax runs it inside of
    `jax.vmap(..., axis_name="batch")` and the like alone. In Keras a batch is the whole batch, on
    however many devices: the mean over an axis of one element is the mean that was meant. What
    binds the name around a call has its own way.

    Args:
        run: Runs the module; its result is a tree of arrays. It is run again for each name.

    Returns:
        The result.

    Example:

    ```python
    >>> float(bind_axes(lambda: jax.lax.pmean(jnp.float32(3), "batch")))
    3.0

    ```
    """
    names: tuple[str, ...] = ()
    while True:
        try:
            return _bound(run, names)
        except NameError as error:
            name = unbound_axis(error)
            if name is None or name in names:
                raise
            names = (*names, name)


def _bound(run: Callable[[], Result], names: tuple[str, ...]) -> Result:
    if not names:
        return run()
    inner = partial(_bound, run, names[1:])
    result: Result = jax.vmap(lambda _: inner(), axis_name=names[0])(jnp.zeros(1))
    first: Result = jax.tree_util.tree_map(lambda leaf: leaf[0], result)
    return first
