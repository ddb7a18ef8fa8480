"""What JAX does not document of traced programs: names and parameters of their operations.

Checked with the versions of docs/versions.md (tests/compat/test_private_jaxprs.py).

- `jax.interpreters.partial_eval.dce_jaxpr`: JAX has no documented way to cut a traced function down
  to what some of its outputs need; initial values need the initialisers of an init alone (B2).
- `Jaxpr.replace`: JAX has no public way to make a program of one operation of another; until 0.5
  the names of arguments and results that it keeps for debugging must be dropped with them (B2).
- programs stand among the parameters of an operation under any name, closed or not; a program is
  what has `eqns` (S3).
- the operation of a jitted function is `jit`, or `pjit` in older versions, with `in_shardings`,
  `out_shardings`, `donated_invars`, `jaxpr`, and after 0.4.34 `compiler_options_kvs`: such
  functions compile beforehand, side by side (B2).
- `random_fold_in` is the operation of `jax.random.fold_in` on a typed key (R2).
- the operations of `jax.lax.add`, div, mul, sqrt, sub, broadcast_in_dim and reshape have these
  names. Their parameters say where the result goes, how exact it is, and the order of dimensions
  before a reshape: where all are None, NumPy has the same bits (B2).
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
from jax.extend import core
from jax.interpreters import partial_eval

from flaxlayer_core.typing import Leaf

__all__ = [
    "ARITHMETIC",
    "dce",
    "folds_into_key",
    "inner_jaxprs",
    "jaxpr_of_equation",
    "jitted_function",
    "plain_operation",
]

ARITHMETIC = ("add", "div", "mul", "sqrt", "sub")


def jaxpr_of_equation(
    jaxpr: core.Jaxpr, equation: core.JaxprEqn, inputs: Sequence[core.Var]
) -> core.Jaxpr:
    """Returns the program of one operation of a program, with these of its variables as inputs."""
    changes = {
        "constvars": [],
        "invars": list(inputs),
        "outvars": equation.outvars,
        "eqns": [equation],
    }
    if jax.__version_info__ < (0, 5):
        changes["debug_info"] = None
    changed: core.Jaxpr = jaxpr.replace(**changes)
    return changed


def dce(
    traced: core.ClosedJaxpr, wanted: Sequence[bool] | None = None
) -> tuple[core.ClosedJaxpr, list[bool]]:
    """Cuts a traced function down to what its results need.

    Args:
        traced: The traced function.
        wanted: Which of its results to keep, None for all.

    Returns:
        The function of the arguments that are needed, and which those are.
    """
    needed = [True] * len(traced.jaxpr.outvars) if wanted is None else list(wanted)
    jaxpr, used = partial_eval.dce_jaxpr(traced.jaxpr, needed)
    return core.ClosedJaxpr(jaxpr, traced.consts), list(used)


def inner_jaxprs(equation: core.JaxprEqn) -> list[core.Jaxpr]:
    """Returns the programs that an operation runs."""
    inner = jax.tree_util.tree_leaves(list(equation.params.values()))
    found: list[Leaf] = [getattr(each, "jaxpr", each) for each in inner]  # of a closed one
    return [each for each in found if hasattr(each, "eqns")]


def jitted_function(equation: core.JaxprEqn) -> core.ClosedJaxpr | None:
    """Returns the function that an operation calls, if that is all that it says."""
    params = equation.params
    if equation.primitive.name not in ("jit", "pjit") or equation.effects:
        return None
    placed = any(
        isinstance(sharding, jax.sharding.Sharding)
        for sharding in (*params["in_shardings"], *params["out_shardings"])
    )
    # JAX 0.4.34 has no compiler options here.
    if placed or any(params["donated_invars"]) or params.get("compiler_options_kvs"):
        return None
    function: core.ClosedJaxpr = params["jaxpr"]
    return function


def folds_into_key(equation: core.JaxprEqn) -> bool:
    """Tells whether an operation folds a number into a typed key."""
    return bool(equation.primitive.name == "random_fold_in")


def plain_operation(equation: core.JaxprEqn) -> str | None:
    """Returns the name of an operation that is one of NumPy's, None of any other.

    Returns:
        One of `ARITHMETIC`, `"broadcast_in_dim"` or `"reshape"`.
    """
    name, params = str(equation.primitive.name), dict(equation.params)
    if params.pop("sharding", None) is not None:
        return None
    if name == "broadcast_in_dim" or (name == "reshape" and params["dimensions"] is None):
        return name
    is_plain = name in ARITHMETIC and all(value is None for value in params.values())
    return name if is_plain else None
