"""A function of JAX that torch runs and differentiates, to any order (K3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import torch

from flaxlayer.backends.torch.torch_tensors import prepared, to_tensors, view
from flaxlayer.backends.torch.traced_function import Blocked, Residuals, Trace, TracedFunction
from flaxlayer.backends.vjp import NO_GRADIENT
from flaxlayer.compat.jax_tracing import jit_is_disabled, tracing_as
from flaxlayer.compat.private_torch import has_saving_hooks, keeps_graph
from flaxlayer.recently_used import RecentlyUsed
from flaxlayer.typing import Array
from flaxlayer_core import RunModuleError

__all__ = ["TorchFunction"]

Result = TypeVar("Result")


class TorchFunction(Generic[Result]):
    """A function of JAX on tensors.

    Args:
        function: Takes arrays one by one, and returns a pytree.
        title: What to name in an error.
        moving: The positions of inputs that may be written to before a gradient is asked for.
        compiled: False for a function that branches on values, which runs op by op.
    """

    def __init__(
        self,
        function: Callable[..., Result],
        *,
        title: str,
        moving: frozenset[int] = frozenset(),
        compiled: bool = True,
    ) -> None:
        self.title = title
        self.traced = TracedFunction(function, moving=moving, compiled=compiled)
        self._compiled = compiled
        self._gradients: RecentlyUsed[Any, TorchFunction[list[jax.Array]]] = RecentlyUsed()
        self._blocked: RecentlyUsed[Any, Blocked] = RecentlyUsed()

    def __call__(self, tensors: Sequence[torch.Tensor | None], arrays: Sequence[Array]) -> Result:
        """Runs the function.

        Args:
            tensors: Prepared tensors, None for an input that is none.
            arrays: Arrays in the memory of the tensors, and the other inputs.

        Returns:
            Its result, with tensors for the arrays.
        """
        if not self._compiled or jit_is_disabled():
            # What runs op by op keeps arrays that it does not tell of.
            arrays = [_copied(array) for array in arrays]
        free = _differentiated(tensors) if torch.is_grad_enabled() else ()
        if not free:
            leaves, structure = jax.tree_util.tree_flatten(self.traced.plain(*arrays))
            made: Result = jax.tree_util.tree_unflatten(structure, to_tensors(leaves, self.title))
            return made
        call = _Call(self, free, list(tensors), list(arrays))
        given = [tensors[index] for index in free]
        outputs = _Apply.apply(call, *given)
        assert call.trace is not None
        result: Result = call.trace.assemble(outputs)
        return result

    def blocked(self, free: tuple[int, ...], trace: Trace[Result], *, find: bool) -> Blocked:
        """Returns what has no gradient.

        Args:
            free: The positions of the inputs that it is differentiated by.
            trace: A trace of the function.
            find: Whether to find out, because the gradient of all has failed.
        """
        key = (free, trace)
        found = self._blocked.get(key) or trace.blocked
        if find and not found.positions:
            found = self._blocked[key] = self.traced.find_blocked(free, trace)
        return found

    def gradients(
        self,
        free: tuple[int, ...],
        trace: Trace[Result],
        given: tuple[bool, ...],
        blocked: frozenset[int],
    ) -> TorchFunction[list[jax.Array]]:
        """Returns the function of all inputs, and of cotangents, that gives the gradients.

        Args:
            free: The positions of the inputs that it is differentiated by.
            trace: A trace of the function.
            given: Which of the results with gradients have a cotangent.
            blocked: The positions of results that no gradient passes through.
        """
        key = (free, trace, given, blocked)
        found = self._gradients.get(key)
        if found is None:
            found = TorchFunction(
                self.traced.gradients(free, trace, given, blocked),
                title=f"The gradient of {self.title}",
                compiled=self._compiled,
            )
            self._gradients[key] = found
        return found


@dataclass(eq=False)
class _Call(Generic[Result]):
    """One call: what goes into it, and then the trace of its form."""

    function: TorchFunction[Result]
    free: tuple[int, ...]
    tensors: list[torch.Tensor | None]
    arrays: list[Array]
    trace: Trace[Result] | None = None


class _Saved:
    """What a call keeps until its gradient is asked for, beside what torch saves."""

    def __init__(self, call: _Call[Any], residuals: Residuals[Any], *, hooked: bool) -> None:
        trace = residuals.trace
        self.function, self.free, self.trace, self.hooked = call.function, call.free, trace, hooked
        self.places = [index for index in trace.taken if call.tensors[index] is not None]
        self.others = [
            None if index in self.places or index in trace.moving else tensor
            for index, tensor in enumerate(call.tensors)
        ]
        self.versions = list(map(_version, self.others))
        self.arrays: dict[int, Array] = {
            index: array
            for index, array in enumerate(call.arrays)
            if call.tensors[index] is None or (index in trace.taken and not hooked)
        }
        self.kept, self.moving, self.count = residuals.kept, residuals.moving, 0

    def tensors(self) -> list[torch.Tensor | None]:
        """Returns the inputs that torch does not save, unless they were written to."""
        for tensor, version in zip(self.others, self.versions, strict=True):
            if _version(tensor) != version:
                raise RunModuleError(
                    f"{self.function.title} cannot be differentiated twice.",
                    expected="inputs as they were at the call",
                    found="an input that was changed in place since then",
                    fix="Change a copy: tensor = tensor.clone().",
                    law="K3",
                )
        return list(self.others)


def _pull_back(ctx: Any, *cotangents: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
    tensors, saved = ctx.saved_tensors, ctx.saved
    trace: Trace[Any] = saved.trace
    bound = _asked(saved, cotangents, find=False)
    if trace.linear is None or all(cotangent is None for cotangent in bound):
        return (None, *[None] * len(saved.free))
    inputs = dict(zip(saved.places, tensors, strict=False))
    kept, moving = _kept(saved, tensors[len(saved.places) :])
    with tracing_as(trace.context):
        gradients = _gradients(saved, inputs, kept, moving, cotangents)
    if not keeps_graph():
        saved.kept, saved.moving = [], []
        saved.arrays.clear()
    return (None, *gradients)


class _Apply(torch.autograd.Function):
    """The results of a call, with gradients from its residuals."""

    @staticmethod
    def forward(ctx: Any, call: _Call[Any], *_: torch.Tensor) -> tuple[Any, ...]:
        title = call.function.title
        leaves, residuals = call.function.traced.forward(call.free, call.arrays)
        call.trace = residuals.trace
        outputs = to_tensors(leaves, title)
        bound = frozenset(residuals.trace.bound)
        ctx.mark_non_differentiable(
            *(
                output
                for index, output in enumerate(outputs)
                if index not in bound and isinstance(output, torch.Tensor)
            )
        )
        ctx.set_materialize_grads(False)
        saved = _Saved(call, residuals, hooked=has_saving_hooks())
        tensors = [call.tensors[index] for index in saved.places]
        if saved.hooked:
            # Hooks, such as those of a checkpoint, decide what becomes of what is kept.
            tensors += to_tensors([*saved.kept, *saved.moving], title)
            saved.count, saved.kept, saved.moving = len(saved.kept), [], []
        ctx.save_for_backward(*tensors)
        ctx.saved = saved
        return tuple(outputs)

    # torch.compile compiles what a backward pass calls too.
    backward: Any = staticmethod(
        torch.compiler.disable(_pull_back, reason="a Flax module runs in JAX")
    )


def _gradients(
    saved: _Saved,
    inputs: Mapping[int, torch.Tensor],
    kept: list[jax.Array],
    moving: Sequence[jax.Array],
    cotangents: Sequence[torch.Tensor | None],
) -> Sequence[Any]:
    found = saved.function.blocked(saved.free, saved.trace, find=False)
    if not torch.is_grad_enabled() and found == saved.trace.blocked:
        try:
            bound = _asked(saved, cotangents, find=False)
            return _from_residuals(saved, inputs, kept, bound)
        except NO_GRADIENT:
            if not saved.function.blocked(saved.free, saved.trace, find=True).positions:
                raise
    bound = _asked(saved, cotangents, find=True)
    if all(cotangent is None for cotangent in bound):
        return [None] * len(saved.free)
    return _again(saved, inputs, moving, bound)


def _kept(
    saved: _Saved, tensors: Sequence[torch.Tensor]
) -> tuple[list[jax.Array], list[jax.Array]]:
    if not saved.hooked:
        return saved.kept, saved.moving
    arrays = [view(prepared(tensor)) for tensor in tensors]
    return arrays[: saved.count], arrays[saved.count :]


def _from_residuals(
    saved: _Saved,
    inputs: Mapping[int, torch.Tensor],
    kept: list[jax.Array],
    cotangents: Sequence[torch.Tensor | None],
) -> list[Any]:
    trace = saved.trace
    taken = [
        saved.arrays[index] if index in saved.arrays else view(prepared(inputs[index]))
        for index in trace.taken
    ]
    given = [None if c is None else view(prepared(c)) for c in cotangents]
    found = saved.function.traced.backward(Residuals(trace, kept, []), taken, given)
    return to_tensors(found, saved.function.title)


def _again(
    saved: _Saved,
    inputs: Mapping[int, torch.Tensor],
    moving: Sequence[jax.Array],
    cotangents: Sequence[torch.Tensor | None],
) -> list[Any]:
    """Computes the gradients from the inputs, so that they have gradients in turn."""
    tensors = saved.tensors()
    for index, tensor in inputs.items():
        tensors[index] = tensor
    as_they_were = dict(zip(saved.trace.moving, moving, strict=True))
    given = [prepared(c) for c in cotangents if c is not None]
    every = [None if t is None else prepared(t) for t in tensors] + given
    arrays = [
        saved.arrays.get(index, as_they_were.get(index)) if tensor is None else view(tensor)
        for index, tensor in enumerate(every)
    ]
    there = tuple(cotangent is not None for cotangent in cotangents)
    blocked = saved.function.blocked(saved.free, saved.trace, find=True).positions
    run = saved.function.gradients(saved.free, saved.trace, there, blocked)
    found: list[Any] = run(every, arrays)
    return found


def _asked(
    saved: _Saved, cotangents: Sequence[torch.Tensor | None], *, find: bool
) -> list[torch.Tensor | None]:
    """Returns the cotangents of results that have gradients; others must be zero."""
    trace: Trace[Any] = saved.trace
    blocked = saved.function.blocked(saved.free, trace, find=find)
    for index in blocked.positions:
        cotangent = cotangents[index]
        if cotangent is not None and bool((cotangent != 0).any()):
            raise RunModuleError(
                f"{saved.function.title} has no gradient in JAX.",
                expected="operations that JAX can differentiate in reverse mode",
                found=blocked.words,
                fix="Call it under torch.no_grad(), or write it with jax.lax.scan.",
                law="K4",
            )
    return [None if index in blocked.positions else cotangents[index] for index in trace.bound]


def _differentiated(tensors: Sequence[torch.Tensor | None]) -> tuple[int, ...]:
    return tuple(
        index for index, tensor in enumerate(tensors) if tensor is not None and tensor.requires_grad
    )


def _version(tensor: torch.Tensor | None) -> int | None:
    # What inference mode made counts none.
    return None if tensor is None or tensor.is_inference() else tensor._version


def _copied(array: Array) -> Array:
    return array if type(array) in (float, complex) else jnp.array(array)
