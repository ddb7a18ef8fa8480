"""A function of JAX as compiled parts that know nothing of torch: results, residuals, gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp

from flaxlayer.backends.conjugates import conjugate
from flaxlayer.backends.flat_functions import FlatFunction
from flaxlayer.backends.linear_trace import LinearTrace
from flaxlayer.backends.vjp import (
    NO_GRADIENT,
    apply_vjp,
    differentiable_positions,
    differentiate,
    stop_gradients,
    without_gradient,
)
from flaxlayer.compat.jax_tracing import TraceContext, trace_context
from flaxlayer.typing import Array, FlatCallable

__all__ = ["Blocked", "Residuals", "Trace", "TracedFunction"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class Blocked:
    """The results that JAX has no gradient of.

    Attributes:
        positions: Which they are.
        words: What JAX says of the last of them.
    """

    positions: frozenset[int] = frozenset()
    words: str = ""


@dataclass(frozen=True, eq=False)
class Trace(Generic[Result]):
    """What one trace of a function has found out.

    Attributes:
        assemble: Puts flat results together.
        inputs: The shapes and dtypes of the inputs.
        results: The shapes and dtypes of the results.
        bound: The positions of those that have gradients.
        taken: The positions of the inputs that the gradients are computed from.
        moving: The positions of inputs that are kept as they were.
        blocked: What was found then to have no gradient.
        linear: The gradients, None where there is none at all.
        context: The settings of JAX that it was traced under.
    """

    assemble: Callable[[Sequence[Array]], Result]
    inputs: tuple[jax.ShapeDtypeStruct, ...]
    results: tuple[jax.ShapeDtypeStruct, ...]
    bound: tuple[int, ...]
    taken: tuple[int, ...]
    moving: tuple[int, ...]
    blocked: Blocked
    linear: LinearTrace | None
    context: TraceContext


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True, eq=False)
class Residuals(Generic[Result]):
    """What a call keeps for its gradients, with the trace that made them.

    Attributes:
        trace: The trace; a compiled function returns that of the form it was called with.
        kept: Arrays that were computed.
        moving: Inputs as they were.
    """

    trace: Trace[Result]
    kept: list[jax.Array]
    moving: list[jax.Array]

    def tree_flatten(self) -> tuple[tuple[Any, ...], Trace[Result]]:
        """Has the arrays as children."""
        return (self.kept, self.moving), self.trace

    @classmethod
    def tree_unflatten(cls, trace: Trace[Result], children: Sequence[Any]) -> Residuals[Result]:
        """Makes the node again."""
        return cls(trace, *children)


class TracedFunction(Generic[Result]):
    """A function of flat arrays, compiled by itself and with its gradients.

    Args:
        function: Takes arrays one by one, and returns a pytree.
        moving: The positions of inputs that may be written to before a gradient is asked for.
        compiled: False for a function that branches on values, which runs op by op.
    """

    def __init__(
        self,
        function: Callable[..., Result],
        *,
        moving: frozenset[int] = frozenset(),
        compiled: bool = True,
    ) -> None:
        self._function, self._moving, self._compiled = function, moving, compiled
        self._forwards: dict[tuple[int, ...], Callable[..., Any]] = {}
        self.plain = self._compile(self._run)
        self.backward = self._compile(_backward)

    def forward(
        self, free: tuple[int, ...], arrays: Sequence[Array]
    ) -> tuple[list[jax.Array], Residuals[Result]]:
        """Returns the results, flat, and what is kept for their gradients.

        Args:
            free: The positions of the inputs that it is differentiated by.
            arrays: The inputs.
        """
        run = self._forwards.get(free)
        if run is None:
            run = self._compile(lambda *given: self._forward(free, given))
            run = self._forwards.setdefault(free, run)
        outputs, residuals = run(*arrays)
        return outputs, residuals

    def find_blocked(self, free: tuple[int, ...], trace: Trace[Result]) -> Blocked:
        """Finds the results that have no gradient, once the gradient of all has failed."""
        if not self._compiled:
            return Blocked(frozenset(trace.bound), "it runs op by op, and the gradient is traced")
        flat = FlatFunction(self._function)
        return Blocked(*without_gradient(flat, trace.inputs, free))

    def gradients(
        self,
        free: tuple[int, ...],
        trace: Trace[Result],
        given: tuple[bool, ...],
        blocked: frozenset[int],
    ) -> Callable[..., list[jax.Array]]:
        """Returns the function of all inputs and of cotangents that computes all again.

        Args:
            free: The positions of the inputs that it is differentiated by.
            trace: A trace of the function.
            given: Which of the results with gradients have a cotangent.
            blocked: The positions of results that no gradient passes through.
        """
        flat = stop_gradients(FlatFunction(self._function), blocked)

        def run(*arrays: jax.Array) -> list[jax.Array]:
            inputs = arrays[: len(arrays) - sum(given)]
            rest = iter(arrays[len(inputs) :])
            cotangents = [next(rest) if there else None for there in given]
            outputs, vjp = differentiate(flat, inputs, free)
            filled = _filled(cotangents, [outputs[index] for index in trace.bound])
            return conjugate(apply_vjp(vjp, conjugate(filled)))

        return run

    def _compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return jax.jit(function) if self._compiled else function

    def _run(self, *arrays: Array) -> Result:
        leaves, structure = jax.tree_util.tree_flatten(self._function(*arrays))
        result: Result = jax.tree_util.tree_unflatten(structure, _own(leaves, arrays))
        return result

    def _forward(
        self, free: tuple[int, ...], arrays: tuple[Array, ...]
    ) -> tuple[list[jax.Array], Residuals[Result]]:
        moving = tuple(sorted(self._moving))
        flat = FlatFunction(self._function)
        structs = tuple(jax.ShapeDtypeStruct(jnp.shape(a), jnp.result_type(a)) for a in arrays)
        blocked = Blocked()
        try:
            linear: LinearTrace | None = LinearTrace(flat, free, self._moving)
            assert linear is not None
            results = linear.forward(*arrays)
        except NO_GRADIENT as error:
            blocked = self._blocked_at_once(flat, free, arrays, structs, error)
            linear, results = self._forward_blocked(flat, free, arrays, blocked.positions)
        count = len(results) if linear is None else linear.count
        outputs, kept = results[:count], results[count:]
        trace: Trace[Result] = Trace(
            flat.assemble,
            structs,
            tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in outputs),
            differentiable_positions(outputs),
            () if linear is None else tuple(sorted(linear.taken())),
            moving,
            blocked,
            linear,
            trace_context(),
        )
        as_they_were = [jnp.copy(arrays[index]) for index in moving]
        return _own(outputs, (*arrays, *kept)), Residuals(trace, kept, as_they_were)

    def _blocked_at_once(
        self,
        flat: FlatCallable,
        free: Sequence[int],
        arrays: Sequence[Array],
        structs: Sequence[jax.ShapeDtypeStruct],
        error: Exception,
    ) -> Blocked:
        if self._compiled:
            return Blocked(*without_gradient(flat, structs, free))
        count = len(flat(*arrays))  # which raises what is no matter of gradients
        return Blocked(frozenset(range(count)), str(error).partition("\n")[0])

    def _forward_blocked(
        self,
        flat: FlatCallable,
        free: Sequence[int],
        arrays: Sequence[Array],
        blocked: frozenset[int],
    ) -> tuple[LinearTrace | None, list[jax.Array]]:
        outputs = list(flat(*arrays))
        if blocked.issuperset(differentiable_positions(outputs)):
            return None, outputs
        linear = LinearTrace(stop_gradients(flat, blocked), free, self._moving)
        return linear, linear.forward(*arrays)


def _backward(
    residuals: Residuals[Any], inputs: Sequence[jax.Array], cotangents: Sequence[jax.Array | None]
) -> list[jax.Array]:
    trace = residuals.trace
    assert trace.linear is not None
    filled = _filled(cotangents, [trace.results[index] for index in trace.bound])
    taken = dict(zip(trace.taken, inputs, strict=True))
    return _own(trace.linear.gradients(taken, residuals.kept, filled), cotangents)


def _filled(cotangents: Sequence[jax.Array | None], results: Sequence[Any]) -> list[jax.Array]:
    pairs = zip(cotangents, results, strict=True)
    return [
        jnp.zeros(result.shape, result.dtype) if cotangent is None else cotangent
        for cotangent, result in pairs
    ]


def _own(leaves: Sequence[Any], others: Sequence[Any]) -> list[jax.Array]:
    """Returns arrays in memory of their own, which torch may write to."""
    known = set(map(id, others))
    found: list[jax.Array] = []
    for leaf in leaves:
        # What is no tracer is a constant of the module, or runs op by op.
        alone = isinstance(leaf, jax.core.Tracer) and id(leaf) not in known
        found.append(leaf if alone else jnp.copy(leaf))
        known.add(id(leaf))
    return found
