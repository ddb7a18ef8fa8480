"""Single operations in NumPy, where their bits are those of a compiled one (B2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flaxlayer_core.compat.private_jaxprs import plain_operation
from flaxlayer_core.typing import Array, Function, JaxprEqn, Shaped

__all__ = ["run_in_numpy"]

_ARITHMETIC: Mapping[str, Function] = {
    "add": np.add,
    "div": np.divide,
    "mul": np.multiply,
    "sqrt": np.sqrt,
    "sub": np.subtract,
}
_OF_INTEGERS = ("add", "mul", "sub")
_IEEE = (np.dtype("float32"), np.dtype("float64"))


def run_in_numpy(equation: JaxprEqn, inputs: Sequence[Array]) -> np.ndarray | None:
    """Runs one operation of a traced program on the CPU.

    IEEE 754 leaves one correct result of an operation, and integers wrap around in both.

    Args:
        equation: The operation.
        inputs: Its inputs.

    Returns:
        The result; None where NumPy cannot be relied on for the bits.

    Example:

    ```python
    >>> import jax
    >>> traced = jax.make_jaxpr(jax.lax.add)(np.uint32(1), np.uint32(2))
    >>> run_in_numpy(traced.jaxpr.eqns[0], (np.uint32(3), np.uint32(4)))
    array(7, dtype=uint32)

    ```
    """
    made: Array = equation.outvars[0].aval
    name = plain_operation(equation)
    if name is None or not isinstance(made.dtype, np.dtype):
        return None
    if name == "broadcast_in_dim":
        return np.full(made.shape, inputs[0], made.dtype) if np.ndim(inputs[0]) == 0 else None
    if name == "reshape":
        return np.asarray(inputs[0]).reshape(made.shape)
    arrays = [np.asarray(value) for value in inputs]
    if any(array.dtype != made.dtype for array in arrays):
        return None
    if made.dtype.kind in "iu":
        return np.asarray(_ARITHMETIC[name](*arrays)) if name in _OF_INTEGERS else None
    return _on_floats(name, arrays, made) if made.dtype in _IEEE else None


def _on_floats(name: str, arrays: Sequence[np.ndarray], made: Shaped) -> np.ndarray | None:
    if name == "div" and any(array.shape != made.shape for array in arrays):
        return None  # XLA multiplies by the reciprocal of a divisor that it broadcasts
    with np.errstate(all="ignore"):
        result = np.asarray(_ARITHMETIC[name](*arrays))
    return None if any(map(_holds_subnormal, (*arrays, result))) else result


def _holds_subnormal(array: np.ndarray) -> bool:
    # XLA's compiled code takes subnormal numbers for zero; NumPy does not. But for its sign, the
    # bits of one are a number below those of any normal number; less one, those of zero are above.
    unsigned = f"u{array.dtype.itemsize}"
    bits = np.ascontiguousarray(array).view(unsigned) << 1
    bits -= 1
    smallest = np.array(np.finfo(array.dtype).tiny).view(unsigned) << 1
    return bool((bits < smallest - 1).any())
