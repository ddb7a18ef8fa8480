"""Operations of JAX by their names, and what they have under which name.

JAX calls neither the names of its primitives nor those of their parameters public. Checked with the
versions of docs/versions.md (tests/compat/test_jax_primitives.py).

- `reduce_window_max` and `reduce_window_sum`: windows of ONNX have fewer dimensions than theirs, so
  that they are run over fewer (S4).
- `jit`, `remat2` of `jax.checkpoint`, `closed_call` and the custom derivatives, in JAX 0.4 `pjit`
  and `custom_vjp_call_jaxpr`: pooling may stand in a function that they call (S4).
- `debug_print` and those with `callback` in their names: they call Python, which an
  exported program cannot (K4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
from jax.extend import core

from flaxlayer.typing import Array
from flaxlayer_core import equations

__all__ = ["Window", "callbacks_of", "called_program", "run_equation", "window_of"]

# Functions inside a program, by where their own programs stand.
_CALLS: Mapping[str, str] = {
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "remat2": "jaxpr",
}
_POOLS = ("reduce_window_max", "reduce_window_sum")


@dataclass(frozen=True)
class Window:
    """The window of a pooling.

    Attributes:
        equation: The operation.
        sizes: The size on each axis.
        strides: The step on each axis.
        padding: How much each axis is padded before and after.
    """

    equation: core.JaxprEqn
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    def pool(self, array: Array, axes: Sequence[int]) -> jax.Array:
        """Pools an array that has some of the axes alone.

        Args:
            array: The array.
            axes: Which of the axes of the window are the array's.
        """
        params, ndim = self.equation.params, len(self.sizes)
        kept = {
            name: tuple(value[axis] for axis in axes)
            for name, value in params.items()
            if isinstance(value, tuple) and len(value) == ndim
        }
        pooled: jax.Array = self.equation.primitive.bind(array, **{**params, **kept})
        return pooled


def window_of(equation: core.JaxprEqn) -> Window | None:
    """Returns the window of a pooling, None for any other operation."""
    if equation.primitive.name not in _POOLS:
        return None
    sizes, strides, padding = (
        equation.params[name] for name in ("window_dimensions", "window_strides", "padding")
    )
    return Window(equation, tuple(sizes), tuple(strides), tuple(map(tuple, padding)))


def called_program(equation: core.JaxprEqn) -> tuple[core.Jaxpr, Sequence[Array]] | None:
    """Returns the program that an operation calls, and its constants; None where it calls none."""
    place = _CALLS.get(equation.primitive.name)
    if place is None:
        return None
    inner = equation.params[place]
    return getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())


def run_equation(equation: core.JaxprEqn, inputs: Sequence[Array]) -> Sequence[Array]:
    """Runs an operation as it is."""
    primitive = equation.primitive
    outputs = primitive.bind(*inputs, **equation.params)
    return outputs if primitive.multiple_results else [outputs]


def callbacks_of(program: core.ClosedJaxpr) -> list[str]:
    """Returns the names of the operations in a program that call Python."""
    names = {equation.primitive.name for equation in equations(program.jaxpr)}
    return sorted(name for name in names if "callback" in name or name == "debug_print")
