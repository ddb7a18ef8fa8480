"""The one published table of tolerances, by dtype (T4).

Two runs of the same arithmetic that XLA compiled in two ways differ in the order of sums and in
where results are rounded. The table bounds that, from the machine epsilon of each dtype alone:

- **Single and double precision**, real and complex: `rtol = 16 eps`, `atol = 64 eps`. A sum of `n`
  terms that is taken in another order moves by at most about `n eps` of the sum of the terms'
  sizes (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., §4.2, where the bound is
  `(n - 1) u` with `u = eps / 2`). 16 covers short chains of such sums; `atol` covers results near
  zero of up to 64 terms of size one that cancel. For float32 this is 1.9e-6 and 7.6e-6, beside
  1.3e-6 and 1e-5 in the table of `torch.testing.assert_close`.
- **Half precision** (float16, bfloat16): `rtol = atol = 4 eps`. XLA sums in float32 and rounds when
  it stores, so that the number of roundings counts, not the number of terms: one rounding moves
  a value by `eps / 2`, and two programs that each round four times differ by at most `4 eps`. For
  bfloat16 this is 3.1e-2, for float16 3.9e-3, beside 1.6e-2 and 1e-3 in torch's table.
- **Integers and booleans** are exact.

Two compilers, of JAX and of TensorFlow, are held to the same table, for outputs, state, gradients
and three optimizer steps; there the coarsest dtype that takes part in the computation counts
(`across_compilers`). `conformance/precision.py` measures both against float64.

A check compares with `|actual - expected| <= atol + rtol * |expected|`, element by element. The
bound is not scaled by the size of an array. A layer under test gets another tolerance only with a
stated reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp

from flaxlayer_testing.errors import FindToleranceError

__all__ = [
    "TOLERANCES",
    "Tolerance",
    "across_compilers",
    "tolerance_for",
]

FULL_PRECISION = ("float32", "float64", "complex64", "complex128")
HALF_PRECISION = ("float16", "bfloat16")


@dataclass(frozen=True)
class Tolerance:
    """How far two values of one dtype may differ.

    Attributes:
        rtol: Relative to the expected value.
        atol: Absolute.
    """

    rtol: float = 0.0
    atol: float = 0.0


EXACT = Tolerance()


def _from_epsilon(dtype: str) -> Tolerance:
    eps = float(jnp.finfo(dtype).eps)
    if dtype in HALF_PRECISION:
        return Tolerance(4 * eps, 4 * eps)
    return Tolerance(16 * eps, 64 * eps)


TOLERANCES: Mapping[str, Tolerance] = MappingProxyType(
    {dtype: _from_epsilon(dtype) for dtype in (*FULL_PRECISION, *HALF_PRECISION)}
)
"""The tolerance of each inexact dtype; integers and booleans are exact."""


def across_compilers(computed: Iterable[str]) -> dict[str, Tolerance]:
    """Returns the tolerances for results that two compilers made of one module.

    A result is as near as the coarsest dtype that it was computed in: the float32 mean of values
    that were rounded to bfloat16 moves with them.

    Args:
        computed: Names of the dtypes that take part in the computation.

    Returns:
        A tolerance for each inexact dtype.

    Example:

    ```python
    >>> table = across_compilers({"bfloat16", "float32"})
    >>> table["float32"] == TOLERANCES["bfloat16"]
    True

    ```
    """
    took_part = [TOLERANCES[name] for name in computed if name in TOLERANCES]
    return {
        name: max([own, *took_part], key=lambda tolerance: tolerance.rtol)
        for name, own in TOLERANCES.items()
    }


def tolerance_for(dtype: Any) -> Tolerance:
    """Returns the tolerance of a dtype.

    Args:
        dtype: A dtype or its name.

    Returns:
        Its entry in `TOLERANCES`, or an exact tolerance for integers and booleans.

    Raises:
        FindToleranceError: If the table has no entry for it.

    Example:

    ```python
    >>> tolerance_for("float32").rtol == 16 * 2.0**-23
    True
    >>> tolerance_for("int32")
    Tolerance(rtol=0.0, atol=0.0)

    ```
    """
    known = jnp.dtype(dtype)
    if known.kind in "iub":
        return EXACT
    if known.name not in TOLERANCES:
        raise FindToleranceError(
            f"There is no tolerance for {known.name}.",
            expected="an integer, bool, or one of " + ", ".join(TOLERANCES),
            found=known.name,
            fix="Compare bitwise.",
            law="T4",
        )
    return TOLERANCES[known.name]
