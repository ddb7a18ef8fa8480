"""Evaluates a traced function as eager JAX does, to the bit, with less to compile.

Eager JAX compiles a program for each distinct operation and shape, one after the other, when it
comes to it. Here the jitted functions among the operations (what draws random numbers, mostly) are
known beforehand and compile side by side, and single operations on the CPU run in NumPy where that
has the bits of a compiled one. Numbers are folded into keys in integers.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from flaxlayer_core.compat.private_jax import is_threefry
from flaxlayer_core.compat.private_jaxprs import folds_into_key, jaxpr_of_equation, jitted_function
from flaxlayer_core.jaxprs.in_numpy import run_in_numpy
from flaxlayer_core.jaxprs.interpreter import eval_jaxpr
from flaxlayer_core.random.threefry import fold_in
from flaxlayer_core.typing import Array, ClosedJaxpr, JaxprEqn, PyTree, Shaped

__all__ = ["OpByOpJaxpr"]


class OpByOpJaxpr:
    """A traced function that runs operation by operation.

    Args:
        traced: The traced function.

    Example:

    ```python
    >>> program = OpByOpJaxpr(jax.make_jaxpr(lambda x: 2.0 * jnp.ones(2) + x)(np.float32(0)))
    >>> [array.tolist() for array in program(np.float32(1))]
    [[3.0, 3.0]]

    ```
    """

    def __init__(self, traced: core.ClosedJaxpr) -> None:
        self._traced = traced
        self._compiled: dict[ClosedJaxpr, Future[jax.stages.Compiled]] = {}

    def prepare(self) -> None:
        """Starts to compile the jitted functions of the program, in other threads."""
        found = dict.fromkeys(map(jitted_function, self._traced.jaxpr.eqns))
        todo = [key for key in found if key is not None and key not in self._compiled]
        if not todo:
            return
        pool = ThreadPoolExecutor(min(len(todo), os.cpu_count() or 1), "flaxlayer-compile")
        # Lowered here: a JAX configuration holds for a thread.
        self._compiled |= {key: _COMPILED.compile(_lower(key), pool) for key in todo}
        pool.shutdown(wait=False)

    def compile(
        self, shardings: Sequence[jax.sharding.Sharding | None]
    ) -> Callable[..., list[jax.Array]]:
        """Returns the program compiled as a whole, with a sharding for each leaf of its result."""
        run = core.jaxpr_as_fun(self._traced)
        compiled: Callable[..., list[jax.Array]] = jax.jit(run, out_shardings=list(shardings))
        return compiled

    def __call__(self, *args: object) -> list[jax.Array]:
        """Runs the program on the leaves of its arguments; returns the leaves of its result."""
        self.prepare()
        jaxpr = self._traced.jaxpr
        wanted = {atom for atom in jaxpr.outvars if not isinstance(atom, core.Literal)}

        def run(equation: JaxprEqn, inputs: Sequence[Array]) -> Sequence[Array]:
            # B6: at once, so that of a result there is no array of NumPy beside that of JAX.
            pairs = zip(equation.outvars, self._run(equation, inputs), strict=True)
            return [_to_jax(made, atom.aval) if atom in wanted else made for atom, made in pairs]

        results = eval_jaxpr(jaxpr, self._traced.consts, args, run)
        # What the program did not compute belongs to someone else, and may not be donated; nor may
        # one array twice.
        taken = {*jaxpr.constvars, *jaxpr.invars}
        outputs = []
        for atom, result in zip(jaxpr.outvars, results, strict=True):
            copied = not isinstance(atom, core.Literal) and atom in taken
            outputs.append(jnp.array(result, copy=True) if copied else _to_jax(result, atom.aval))
            if not isinstance(atom, core.Literal):
                taken.add(atom)
        return outputs

    def _run(self, equation: JaxprEqn, inputs: Sequence[Array]) -> Sequence[Array]:
        function = jitted_function(equation)
        if function is not None:
            arrays = map(_to_jax, inputs, function.in_avals)
            outputs: Sequence[Array] = self._compiled[function].result()(*arrays)
            return outputs
        if _folds_in(equation):
            return [fold_in(inputs[0], int(inputs[1]))]
        array = run_in_numpy(equation, inputs) if jax.default_backend() == "cpu" else None
        return self._bind(equation, inputs) if array is None else [array]

    def _bind(self, equation: JaxprEqn, inputs: Sequence[Shaped]) -> Sequence[Array]:
        # As a program of this one operation: JAX restores the context that it was traced in.
        held = {
            atom: value
            for atom, value in zip(equation.invars, inputs, strict=True)
            if not isinstance(atom, core.Literal)
        }
        jaxpr = jaxpr_of_equation(self._traced.jaxpr, equation, list(held))
        outputs: Sequence[Array] = core.jaxpr_as_fun(core.ClosedJaxpr(jaxpr, []))(*held.values())
        return outputs


class _CompiledFunctions:
    """Compiled functions by their text, which other modules have as well: the last ones used."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._compiled: OrderedDict[tuple[str, ...], Future[jax.stages.Compiled]] = OrderedDict()
        self._lock = Lock()

    def compile(
        self, lowered: jax.stages.Lowered, pool: ThreadPoolExecutor
    ) -> Future[jax.stages.Compiled]:
        """Returns the function compiled, or to be compiled by a pool."""
        place = (jax.default_backend(), str(jax.config.jax_default_device))  # type: ignore[attr-defined]
        key = (lowered.as_text(), *place)
        with self._lock:
            future = self._compiled.pop(key, None)
            if future is None or (future.done() and future.exception() is not None):
                future = pool.submit(lowered.compile)
            self._compiled[key] = future
            while len(self._compiled) > self._size:
                self._compiled.popitem(last=False)
        return future


_COMPILED = _CompiledFunctions(256)


def _folds_in(equation: JaxprEqn) -> bool:
    if not folds_into_key(equation):
        return False
    avals: list[Array] = [atom.aval for atom in equation.invars]
    key, data = avals
    return is_threefry(key.dtype) and key.shape == data.shape == () and data.dtype == np.uint32


def _lower(function: PyTree) -> jax.stages.Lowered:
    specs = [
        jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)
        for aval in function.in_avals
    ]
    return jax.jit(core.jaxpr_as_fun(function)).lower(*specs)


def _to_jax(value: object, aval: PyTree) -> jax.Array:
    if isinstance(value, jax.Array):
        return value
    # A copy: what NumPy holds could not be donated. `jnp.array` would compile one for each shape.
    array: jax.Array = jax.device_put(np.asarray(value, aval.dtype), may_alias=False)
    return array
