"""Raw Flax inside of the axes that a module names, of one element each (A6)."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np

from flaxlayer_testing.oracle.statics import hide_statics, show_statics

__all__ = ["inside_axes"]

P = ParamSpec("P")
R = TypeVar("R")

_UNBOUND = re.compile(r"unbound axis name: (\w+)")


def inside_axes(call: Callable[P, R]) -> Callable[P, R]:
    """Makes a call of raw Flax run as in `jax.vmap`, where a module names an axis for collectives.

    The axis has one element: the whole batch. What runs without such an axis is called as it is.

    Args:
        call: Runs a module.

    Returns:
        The same call.

    Example:

    ```python
    >>> inside_axes(lambda x: float(jax.lax.psum(x, "batch")))(2.0)
    2.0

    ```
    """

    @functools.wraps(call)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        named: list[str] = []
        while True:
            within = functools.partial(call, *args, **kwargs)
            for name in named:
                within = functools.partial(_within, name, within)
            try:
                result: R = within()
                return result
            except NameError as error:
                found = _UNBOUND.search(str(error))
                if found is None or found.group(1) in named:
                    raise
                named.append(found.group(1))

    return run


def _within(name: str, call: Callable[[], Any]) -> Any:
    results = jax.vmap(lambda _: hide_statics(call()), axis_name=name)(np.zeros(1))
    return show_statics(jax.tree_util.tree_map(lambda leaf: leaf[0], results))
