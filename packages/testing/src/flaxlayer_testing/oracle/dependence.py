"""What the results of a traced program depend on, and the operations that it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

__all__ = ["needed_inputs", "operations"]


def _inner(operation: Any) -> list[Jaxpr]:
    values = (v for p in operation.params.values() for v in (p if isinstance(p, tuple) else (p,)))
    return [part for part in map(_opened, values) if isinstance(part, Jaxpr)]


def _opened(value: Any) -> Any:
    # From JAX 0.12 on an operation holds a program itself, before that one with its constants.
    return value.jaxpr if isinstance(value, ClosedJaxpr) else value


def operations(program: Jaxpr) -> Iterator[Any]:
    """Yields the operations of a traced program, and of the programs inside them.

    Args:
        program: A jaxpr.

    Yields:
        Its equations.

    Example:

    ```python
    >>> import jax
    >>> traced = jax.make_jaxpr(jax.jit(lambda x: x + 1))(2.0)
    >>> [operation.primitive.name for operation in operations(traced.jaxpr)][-1]
    'add'

    ```
    """
    for operation in program.eqns:
        yield operation
        for part in _inner(operation):
            yield from operations(part)


def needed_inputs(program: Jaxpr, wanted: Sequence[bool] | None = None) -> list[bool]:
    """Tells for each input of a traced program whether the results depend on it.

    Args:
        program: A jaxpr.
        wanted: Which of its results count; all if None.

    Returns:
        A truth value for each input. Of an operation that is not known to hold a program, every
        result depends on every operand.

    Example:

    ```python
    >>> import jax
    >>> traced = jax.make_jaxpr(jax.jit(lambda x, y: (x, y * 2)))(1.0, 2.0)
    >>> needed_inputs(traced.jaxpr, [False, True])
    [False, True]

    ```
    """
    chosen = [True] * len(program.outvars) if wanted is None else wanted
    needed = _variables(program.outvars, chosen)
    for operation in reversed(program.eqns):
        given = [part in needed for part in operation.outvars]
        if any(given) or operation.effects:
            needed |= _variables(operation.invars, _operands(operation, given))
    return [part in needed for part in program.invars]


def _variables(parts: Sequence[Any], chosen: Sequence[bool]) -> set[Any]:
    pairs = zip(parts, chosen, strict=True)
    return {part for part, counts in pairs if counts and not isinstance(part, Literal)}


def _operands(operation: Any, wanted: list[bool]) -> list[bool]:
    known = {"scan": _of_scan, "while": _of_while, "cond": _of_cond}
    if (rule := known.get(operation.primitive.name)) is not None:
        return rule(operation, wanted)
    inner = _inner(operation)
    if len(inner) == 1 and len(inner[0].invars) == len(operation.invars):
        return needed_inputs(inner[0], wanted)
    return [True] * len(operation.invars)


def _of_scan(operation: Any, wanted: list[bool]) -> list[bool]:
    # How many operands are constants is written otherwise from JAX 0.12 on; what is scanned has a
    # dimension more than the step sees, in all versions.
    step = _opened(operation.params["jaxpr"])
    count = _alike(operation.outvars, step.outvars)
    consts = _alike(operation.invars, step.invars) - count
    carry, slices = wanted[:count], wanted[count:]
    while True:
        needed = needed_inputs(step, [*carry, *slices])
        fed = needed[consts : consts + count]
        if not any(late and not early for early, late in zip(carry, fed, strict=True)):
            return [*needed[:consts], *_either(carry, fed), *needed[consts + count :]]
        carry = _either(carry, fed)


def _alike(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    pairs = zip(outside, inside, strict=True)
    return sum(a.aval.ndim == b.aval.ndim for a, b in pairs)


def _of_while(operation: Any, wanted: list[bool]) -> list[bool]:
    params = operation.params
    tested, consts = params["cond_nconsts"], params["body_nconsts"]
    test = needed_inputs(_opened(params["cond_jaxpr"]))
    carry = _either(wanted, test[tested:])
    while True:
        needed = needed_inputs(_opened(params["body_jaxpr"]), carry)
        following = _either(carry, needed[consts:])
        if following == carry:
            return [*test[:tested], *needed[:consts], *carry]
        carry = following


def _of_cond(operation: Any, wanted: list[bool]) -> list[bool]:
    branches = operation.params["branches"]
    needed = [needed_inputs(_opened(branch), wanted) for branch in branches]
    return [True, *map(any, zip(*needed, strict=True))]


def _either(first: list[bool], second: list[bool]) -> list[bool]:
    return [a or b for a, b in zip(first, second, strict=True)]
