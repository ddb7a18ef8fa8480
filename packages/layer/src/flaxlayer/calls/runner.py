"""Runs a method of a module on arrays: finds out how, compiles, and writes back (§5)."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import NoReturn

import jax
import jax.numpy as jnp
import keras

from flaxlayer.backends import Run, current_backend
from flaxlayer.calls.cache import CallCache, CompiledCall
from flaxlayer.calls.misfits import explain_misfit
from flaxlayer.calls.recomputing import is_recomputed
from flaxlayer.compat import private_keras
from flaxlayer.explained_errors import raise_explained
from flaxlayer.hosted import HostedModule
from flaxlayer.inputs import BuildInputs, array_specs
from flaxlayer.program import CallResult, PureCall
from flaxlayer.typing import Array, PyTree, Write
from flaxlayer.weights.sharding import refuse_elsewhere
from flaxlayer.weights.variables import FlaxWeights
from flaxlayer_core import (
    ArgumentStructure,
    EscapeTraceError,
    MethodSignature,
    ModePlan,
    ModuleCall,
    ModuleSpec,
    VariableLayout,
    collecting_rarely,
    evaluate_for_sizes,
    infer_call_spec,
    prng_impl,
    wrap_statics,
)

__all__ = ["Runner"]

_NO_LOCK = contextlib.nullcontext()


class Runner:
    """Runs one method of a hosted module.

    Args:
        layer: The Keras layer that is called: it has a name, and takes losses.
        hosted: The module, its variables and its settings.
        method: How the method is called.
    """

    def __init__(
        self, layer: keras.layers.Layer, hosted: HostedModule, method: MethodSignature
    ) -> None:
        self.layer, self.hosted, self.method = layer, hosted, method
        self.backend = current_backend()
        self.cache = CallCache()

    @property
    def title(self) -> str:
        """The layer and its method, as messages name them."""
        return f"Layer {self.layer.name!r} ({self.method.title})"

    def module_call(self, structure: ArgumentStructure) -> ModuleCall:
        """Returns the call of the method with arguments of a structure."""
        own = self.hosted.module_call(structure)
        if self.method is self.hosted.method:
            return own
        return replace(own, method=self.method, given=None, layer=f"Layer {self.layer.name!r}")

    # What is known of calls.

    def find_spec(
        self, structure: ArgumentStructure, arrays: Sequence[Array], training: bool | None = None
    ) -> ModuleSpec:
        """Returns what is known of calls of a structure, found out for the first of them.

        Args:
            structure: The structure of the arguments.
            arrays: Their arrays.
            training: The mode of the call: the module may refuse the other. None where both count.
        """
        known = self.cache.specs.get(structure)
        if known is None or not _serves(known, training):
            with self.hosted.locks.build:  # A8
                known = self.cache.specs.get(structure)
                if known is None or not _serves(known, training):
                    known = self._infer_spec(self.module_call(structure), arrays, training)
                self.cache.specs[structure] = known
        return known

    def latest_spec(
        self, structure: ArgumentStructure, arrays: Sequence[Array], training: bool | None = None
    ) -> ModuleSpec:
        """Returns the same, and keeps it as that of the latest call."""
        known = self.cache.latest = self.find_spec(structure, arrays, training)
        return known

    def _infer_spec(
        self, call: ModuleCall, arrays: Sequence[Array], training: bool | None
    ) -> ModuleSpec:
        source = self.hosted.spec
        refusable = frozenset[bool]() if training is None else frozenset({not training})
        if source.traceable:
            return evaluate_for_sizes(
                array_specs(arrays),
                lambda inputs: infer_call_spec(
                    call, inputs.arrays, source.variables, refusable=refusable
                ),
            )
        values = list(map(self.backend.to_jax, arrays))
        weights = self.hosted.built_weights
        variables = weights.layout.unflatten(weights.jax_values())
        return infer_call_spec(call, values, variables, abstract=False, refusable=refusable)

    def pure_call(
        self, structure: ArgumentStructure, plan: ModePlan, layout: VariableLayout
    ) -> PureCall:
        """Returns a call in a mode as a pure function."""
        hosted = self.hosted
        return PureCall(
            self.module_call(structure),
            plan,
            layout,
            hosted.losses,
            hosted.compute_dtype,
            hosted.settings.platforms,
            recompute=is_recomputed() and hosted.spec.traceable,
        )

    def compiled_call(
        self, structure: ArgumentStructure, arrays: Sequence[Array], training: bool, key: Hashable
    ) -> CompiledCall:
        """Returns a call in a mode, compiled once for each key."""
        spec = self.latest_spec(structure, arrays, training)
        call = self.cache.calls.get(key)
        if call is None:
            pure = self.pure_call(structure, spec.plan(training), self.hosted.spec.layout)
            call = CompiledCall(spec, pure, self.backend.compile(pure))
            with self.hosted.locks.build:  # A8: that of the first thread
                call = self.cache.calls.setdefault(key, call)
        return call

    def key(self, structure: ArgumentStructure, training: bool, context: Hashable) -> Hashable:
        """Returns what makes two calls need different code."""
        # JAX does not count the key implementation as context of a compiled function.
        dtype = self.hosted.compute_dtype
        return structure, training, dtype, context, prng_impl(), is_recomputed()

    def preflight(self, inputs: BuildInputs, found: ModuleSpec, weights: FlaxWeights) -> None:
        """Lets the backend find at build what it cannot run, not in the third epoch (K4)."""
        context = self.hosted.flax_module.call_context()
        if context is None or not found.traceable:
            return

        def compiled(training: bool) -> Run | None:
            structure, plan = inputs.structure, found.plan(training)
            if not plan.applied:
                return None
            pure = self.pure_call(structure, plan, weights.layout)
            call = CompiledCall(found, pure, self.backend.compile(pure))
            return self.cache.calls.setdefault(self.key(structure, training, context), call).run

        self.backend.preflight(compiled, weights.variables, inputs.specs)

    # Calls.

    def execute(self, arrays: list[Array], structure: ArgumentStructure, training: bool) -> PyTree:
        """Runs a call; returns its outputs as `wrap_statics` gives them."""
        try:
            refuse_elsewhere(self.hosted.built_weights.devices, title=self.title)
            clean = self.backend.is_outermost()
            arrays, structure = self._as_run(arrays, structure, training, clean=clean)
            with collecting_rarely():  # it may be the first such call, which is traced
                result = self._run(arrays, structure, training, clean=clean)
            return self._finish(result, clean=clean)
        except Exception as error:
            self._refuse(error, arrays, structure)

    def execute_compiled(self, call: CompiledCall, arrays: Sequence[Array]) -> PyTree:
        """Runs an outermost eager call that is compiled already; returns as `execute`."""
        self.cache.latest = call.spec
        try:
            result = self._run_in_turn(call.pure, call.run, arrays, clean=True)
            return self._finish(result, clean=True)
        except Exception as error:
            self._refuse(error, arrays, call.pure.module_call.structure)

    def _run(
        self, arrays: list[Array], structure: ArgumentStructure, training: bool, *, clean: bool
    ) -> CallResult:
        hosted, backend = self.hosted, self.backend
        context, traceable = hosted.flax_module.call_context(), hosted.spec.traceable
        if traceable and context is not None and (clean or backend.compiles_traces):
            key = self.key(structure, training, context)
            call = self.compiled_call(structure, arrays, training, key)
            return self._run_in_turn(call.pure, call.run, arrays, clean=clean)
        plan = self.latest_spec(structure, arrays, training).plan(training)
        pure = self.pure_call(structure, plan, hosted.spec.layout)
        run = backend.run_inline(pure, traceable=traceable)
        return self._run_in_turn(pure, run, arrays, clean=clean)

    def _run_in_turn(
        self, pure: PureCall, run: Run, arrays: Sequence[Array], *, clean: bool
    ) -> CallResult:
        # A8: calls of several threads that draw or change state come one after the other.
        turns = clean and pure.moves and self.backend.may_wait()
        with self.hosted.locks.calls if turns else _NO_LOCK:
            hosted = self.hosted
            seed = hosted.seed_generator.state.value if pure.plan.streams else None
            assert hosted.weights is not None
            result: CallResult = run(hosted.weights.values(), seed, arrays)
            if result.changed or result.seed is not None:
                self.commit(result, pure.plan.training)
        return result

    def evaluate(
        self, structure: ArgumentStructure, arrays: Sequence[Array], training: bool
    ) -> PyTree:
        """Returns the outputs of a call with abstract arrays, as `execute` returns them."""
        plan = self.latest_spec(structure, arrays, training).plan(training)
        pure = self.pure_call(structure, plan, self.hosted.spec.layout)
        values = [jax.ShapeDtypeStruct(spec.shape, spec.dtype) for spec in pure.layout.specs]
        seed = jax.ShapeDtypeStruct((2,), jnp.uint32)
        with pure.module_call.merging_repeats():
            return self.with_sown(jax.eval_shape(pure, values, seed, arrays))

    def _finish(self, result: CallResult, *, clean: bool) -> PyTree:
        if clean:
            self.cache.sown = result.transient
        if result.loss is not None:
            self.layer.add_loss(result.loss)
        returns_sown = self.hosted.settings.return_sown
        return self.with_sown(result) if returns_sown else result.outputs

    def commit(self, result: CallResult, training: bool) -> None:
        """Writes back what a call changed, and the seed that follows (C4, R2)."""
        writes = self.hosted.writable(result.changed, training)
        if result.seed is not None:
            writes.append((self.hosted.seed_generator.state, result.seed))
        if not writes:
            return
        if not private_keras.in_stateless_scope():
            self._refuse_tracers(writes)
        self.hosted.built_weights.assign(writes)

    def with_sown(self, result: CallResult) -> PyTree:
        """Returns outputs with the collections that the layer returns, if it returns any (C7)."""
        names = self.hosted.settings.return_sown
        if not names:
            return result.outputs
        sown = {name: result.transient[name] for name in names if name in result.transient}
        return result.outputs, wrap_statics(sown)

    def spec_to_run(
        self, arrays: list[Array], structure: ArgumentStructure, training: bool
    ) -> ModuleSpec:
        """Returns what is known of a call that `execute` is about to run."""
        try:
            clean = self.backend.is_outermost()
            arrays, structure = self._as_run(arrays, structure, training, clean=clean)
            return self.find_spec(structure, arrays, training)
        except Exception as error:
            self._refuse(error, arrays, structure)

    def _as_run(
        self, arrays: list[Array], structure: ArgumentStructure, training: bool, *, clean: bool
    ) -> tuple[list[Array], ArgumentStructure]:
        if clean and (structure.statics or structure.numbers):
            return self._trace_numbers(arrays, structure, training)
        return arrays, structure

    def _trace_numbers(
        self, arrays: list[Array], structure: ArgumentStructure, training: bool
    ) -> tuple[list[Array], ArgumentStructure]:
        """Lets one program serve all values of a number of Python, where that is possible (A1)."""
        leaves, traced = structure.trace_numbers(arrays)
        if not traced.numbers:
            return arrays, structure
        cache = self.cache
        if cache.fixed.get(traced) or not self.hosted.spec.traceable:
            return traced.fix_numbers(leaves)
        if cache.specs.get(traced) is not None:
            return leaves, traced
        try:
            self.latest_spec(traced, leaves, training)
        except Exception:  # a module may need the number in any way; a real fault comes again
            fixed, static = traced.fix_numbers(leaves)
            self.latest_spec(static, fixed, training)
            cache.fixed[traced] = True
            return fixed, static
        return leaves, traced

    # Errors.

    def _refuse_tracers(self, writes: Sequence[Write]) -> None:
        for variable, value in writes:
            if isinstance(value, jax.core.Tracer):
                raise EscapeTraceError(
                    f"Layer {self.layer.name!r} cannot write {variable.path!r} from inside a JAX "
                    "transformation.",
                    expected="a call outside of jax.jit, jax.grad and the like, or a pure one",
                    found=f"a traced value, {value.aval}",
                    fix="Use layer.stateless_call(...) there, which returns the new state, or "
                    "state_updates='never' with training=False.",
                    law="A6",
                )

    def _refuse(
        self, error: Exception, arrays: Sequence[Array], structure: ArgumentStructure
    ) -> NoReturn:
        built, title = self.cache.inputs, self.title
        misfit = explain_misfit(error, built, arrays, structure, method=self.method, title=title)
        raise_explained(misfit or error, title)


def _serves(known: ModuleSpec, training: bool | None) -> bool:
    """Tells whether a mode can be run by what is known; None stands for both."""
    modes = (True, False) if training is None else (training,)
    return all(known.plan(mode).applied for mode in modes)
