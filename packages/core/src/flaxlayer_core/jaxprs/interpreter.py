"""A traced program run operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jax.extend import core

from flaxlayer_core.typing import Array, Jaxpr, JaxprEqn, Shaped

__all__ = ["eval_jaxpr"]


def eval_jaxpr(
    jaxpr: Jaxpr,
    consts: Sequence[Shaped],
    arrays: Sequence[Array],
    run: Callable[[JaxprEqn, Sequence[Array]], Sequence[Array]],
) -> list[Array]:
    """Runs a program by a function that runs one operation; lets go of what is needed no more.

    Args:
        jaxpr: A program as JAX traced it.
        consts: The values of its constants.
        arrays: The values of its arguments.
        run: Takes an operation and its inputs, and returns its outputs.

    Returns:
        The results of the program.

    Example:

    ```python
    >>> import jax
    >>> traced = jax.make_jaxpr(jax.lax.neg)(1)
    >>> eval_jaxpr(traced.jaxpr, traced.consts, [2], lambda operation, inputs: [-inputs[0]])
    [-2]

    ```
    """
    values = dict(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, arrays, strict=True))
    last_reads = _last_reads(jaxpr)

    def read(atom: core.Var | core.Literal) -> Shaped:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for equation, done in zip(jaxpr.eqns, last_reads, strict=True):
        outputs = run(equation, [read(atom) for atom in equation.invars])
        values.update(zip(equation.outvars, outputs, strict=True))
        del outputs
        for atom in done:  # B6
            del values[atom]
    return [read(atom) for atom in jaxpr.outvars]


def _last_reads(jaxpr: Jaxpr) -> list[set[core.Var]]:
    """Returns for each operation the values that nothing reads after it."""
    needed = {atom for atom in jaxpr.outvars if not isinstance(atom, core.Literal)}
    found: list[set[core.Var]] = []
    for equation in reversed(jaxpr.eqns):
        read = {atom for atom in equation.invars if not isinstance(atom, core.Literal)}
        found.append((read | set(equation.outvars)) - needed)
        needed |= read
    return found[::-1]
