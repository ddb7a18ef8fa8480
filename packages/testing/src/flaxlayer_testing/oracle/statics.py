"""Functions of JAX whose results hold leaves that are no arrays, compiled all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.struct
import jax

from flaxlayer_testing.oracle.call import is_array

__all__ = [
    "compile_with_statics",
    "evaluate_with_statics",
    "hide_statics",
    "show_statics",
]


@flax.struct.dataclass
class _Static:
    """An output that is no array, which a compiled function can only return in its structure."""

    value: Any = flax.struct.field(pytree_node=False)


def hide_statics(outputs: Any) -> Any:
    """Returns a tree with its leaves that are no arrays in its structure."""
    return jax.tree_util.tree_map(lambda leaf: leaf if is_array(leaf) else _Static(leaf), outputs)


def show_statics(outputs: Any) -> Any:
    """Returns what `hide_statics` was given."""

    def show(leaf: Any) -> Any:
        return leaf.value if isinstance(leaf, _Static) else leaf

    return jax.tree_util.tree_map(show, outputs, is_leaf=lambda leaf: isinstance(leaf, _Static))


def compile_with_statics(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `jax.jit(function)`.

    Args:
        function: A function of arrays, whose results may hold leaves that are none.

    Returns:
        A function with the same results.

    Example:

    ```python
    >>> import jax.numpy as jnp
    >>> compile_with_statics(lambda x: (x + 1, "shape"))(jnp.ones(()))[1]
    'shape'

    ```
    """
    compiled = jax.jit(lambda *args: hide_statics(function(*args)))
    return lambda *args: show_statics(compiled(*args))


def evaluate_with_statics(function: Callable[..., Any], *args: Any) -> Any:
    """Returns `jax.eval_shape(function, *args)`.

    Args:
        function: A function of arrays, whose results may hold leaves that are none.
        *args: Arrays, or their descriptions.

    Returns:
        A description of each array of the results; the other leaves as they are.

    Example:

    ```python
    >>> import jax.numpy as jnp
    >>> evaluate_with_statics(lambda x: (x + 1, "shape"), jnp.ones(2))
    (ShapeDtypeStruct(shape=(2,), dtype=float32), 'shape')

    ```
    """
    return show_statics(jax.eval_shape(lambda *given: hide_statics(function(*given)), *args))
