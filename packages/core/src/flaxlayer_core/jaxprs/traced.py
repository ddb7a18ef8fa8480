"""A function traced once: its abstract result, and what the result needs, ready to run (B2)."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property

import jax

from flaxlayer_core.compat.private_jax import before_operations
from flaxlayer_core.compat.private_jaxprs import dce, inner_jaxprs
from flaxlayer_core.jaxprs.op_by_op import OpByOpJaxpr
from flaxlayer_core.shapes import is_symbolic
from flaxlayer_core.size_bounds import SizeBound, count_bytes, refuse_unaddressable
from flaxlayer_core.typing import Array, Jaxpr, JaxprEqn, PyTree, Shaped

__all__ = ["UNTRACEABLE", "TracedFunction", "equations", "held_against", "made_arrays"]

UNTRACEABLE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)
"""What a module raises in a trace where it branches on values (A6)."""

_PART = 64 << 20
"""The bytes of a result that one program makes, where it is placed (B6)."""


class TracedFunction:
    """A function traced once: its abstract result, and what its result needs, ready to run.

    Args:
        function: A function of pytrees of arrays.
        *args: Abstract arguments.
        bound: What the sizes of all that it makes are held against, None for nothing (S3).

    Attributes:
        result: The pytree of `ShapeDtypeStruct` that the function returns.
        dtypes: The dtypes of the leaves of the arguments.

    Example:

    ```python
    >>> import jax.numpy as jnp
    >>> x = jax.ShapeDtypeStruct((2,), jnp.float32)
    >>> traced = TracedFunction(lambda x, y: y + jnp.ones(x.shape), x, x)
    >>> traced.needs(0), traced.needs(1)
    (False, True)
    >>> traced.evaluate(x, jnp.arange(2.0)).tolist()
    [1.0, 2.0]

    ```
    """

    def __init__(self, function: PyTree, *args: object, bound: SizeBound | None = None) -> None:
        closed, self.result = jax.make_jaxpr(function, return_shape=True)(*args)
        if bound is not None:
            bound.check_program(made_arrays(closed.jaxpr))
        self._whole = closed.jaxpr
        self._cut, self._used = dce(closed)
        self._program = OpByOpJaxpr(self._cut)
        self._sizes = [len(jax.tree_util.tree_leaves(arg)) for arg in args]
        self.dtypes = [leaf.dtype for leaf in jax.tree_util.tree_leaves(args)]

    def needs(self, position: int) -> bool:
        """Tells whether the result depends on any leaf of an argument."""
        start = sum(self._sizes[:position])
        return any(self._used[start : start + self._sizes[position]])

    def select(self, indices: Collection[int]) -> TracedFunction:
        """Returns the function with some leaves of its result alone, as a list.

        Args:
            indices: Their positions among the leaves.

        Returns:
            A function of the same arguments, which computes no more than these.
        """
        leaves = jax.tree_util.tree_leaves(self.result)
        chosen = copy.copy(self)
        chosen.result = [leaf for index, leaf in enumerate(leaves) if index in indices]
        if len(chosen.result) == len(leaves):
            return chosen  # what is prepared already serves
        chosen.__dict__.pop("sized", None)
        chosen._cut, used = dce(self._cut, [i in indices for i in range(len(leaves))])
        chosen._program, still = OpByOpJaxpr(chosen._cut), iter(used)
        chosen._used = [needed and next(still) for needed in self._used]
        return chosen

    @cached_property
    def sized(self) -> bool:
        """Whether what the result needs has no symbolic size in it, so that it can run."""
        return not any(is_symbolic(made.shape) for made in self.made())

    def made(self, *, whole: bool = False) -> Iterator[Array]:
        """Yields a description of each array that is made on the way to the result.

        Args:
            whole: Whether what the result does not need counts too, as where it runs untraced.
        """
        return made_arrays(self._whole if whole else self._cut.jaxpr)

    def check_made(self, bound: SizeBound, *, whole: bool = False) -> None:
        """Refuses a result that does not fit into what is free, with what is made on the way (S3).

        Args:
            bound: What the sizes are held against.
            whole: As for `made`.

        Raises:
            BuildModuleError: If it does not fit.
        """
        leaves = jax.tree_util.tree_leaves(self.result)
        bound.check_made(leaves, beside=self.made(whole=whole))

    def prepare(self) -> None:
        """Starts to compile what the result needs, in other threads."""
        self._program.prepare()

    def evaluate(
        self, *args: object, shardings: Sequence[jax.sharding.Sharding | None] | None = None
    ) -> PyTree:
        """Runs what the result needs; arguments that it does not need may be abstract.

        Args:
            *args: The arguments.
            shardings: Where each leaf of the result goes, None for anywhere. Then it is compiled,
                so that no device holds more than its part (B5), in programs of which each makes a
                part of the result, so that what one needs on the way is bounded (B6); else it runs
                op by op.

        Returns:
            The result.
        """
        leaves = jax.tree_util.tree_leaves(args)
        structure = jax.tree_util.tree_structure(self.result)
        if shardings is None:
            return jax.tree_util.tree_unflatten(structure, self._program(*self._needed(leaves)))
        outputs: list[Array] = []
        for part in _parts(jax.tree_util.tree_leaves(self.result)):
            program = self.select(part)
            run = program._program.compile([shardings[index] for index in part])
            # Waited for, or all parts would be under way at once.
            outputs += jax.block_until_ready(run(*program._needed(leaves)))
        return jax.tree_util.tree_unflatten(structure, outputs)

    def _needed(self, leaves: Sequence[Array]) -> list[Array]:
        return [leaf for leaf, used in zip(leaves, self._used, strict=True) if used]


def _parts(leaves: Sequence[Shaped]) -> Iterator[range]:
    """Yields the positions of leaves that one program makes: few bytes, or a single large leaf."""
    start, taken = 0, 0
    for index, leaf in enumerate(leaves):
        size = count_bytes(leaf)
        if index > start and taken + size > _PART:
            yield range(start, index)
            start, taken = index, 0
        taken += size
    if leaves:
        yield range(start, len(leaves))


def equations(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    """Yields the operations of a traced program, and of the programs inside them.

    Args:
        jaxpr: A program as JAX traced it.

    Yields:
        Each operation, those of a program that stands at several places once.

    Example:

    ```python
    >>> traced = jax.make_jaxpr(jax.jit(lambda x: x + 1))(1)
    >>> [equation.primitive.name for equation in equations(traced.jaxpr)][-1]
    'add'

    ```
    """
    pending, seen = [jaxpr], set[int]()
    while pending:
        program = pending.pop()
        if id(program) in seen:
            continue
        seen.add(id(program))
        for equation in program.eqns:
            yield equation
            pending.extend(inner_jaxprs(equation))


def made_arrays(jaxpr: Jaxpr) -> Iterator[Array]:
    """Yields a description of each array that a traced program makes."""
    made = (variable.aval for equation in equations(jaxpr) for variable in equation.outvars)
    return (aval for aval in made if hasattr(aval, "shape"))


@contextlib.contextmanager
def held_against(bound: SizeBound | None, *, title: str) -> Iterator[None]:
    """Opens a context for what runs untraced: no operation begins that asks for too much (S3).

    Args:
        bound: What sizes are held against; None where only what no machine can address is refused.
        title: What to name in an error.

    Yields:
        Nothing.
    """

    def look(operation: PyTree) -> None:
        made = list(made_arrays(operation.jaxpr))
        if bound is None:
            refuse_unaddressable(made, title=title)
        else:
            bound.check_program(made)
            bound.check_made(operation.out_avals)

    with before_operations(look):
        yield
