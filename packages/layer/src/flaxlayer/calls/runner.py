"""How a Keras layer runs its Flax module: plans, programs, and what is written back (§5)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import keras
from flax.errors import FlaxError

from flaxlayer.backends import current_backend
from flaxlayer.calls.cache import CallCache
from flaxlayer.compat import private_keras as compat
from flaxlayer.explained_errors import JAX_ERRORS, explaining
from flaxlayer.inputs import BuildInputs, array_specs
from flaxlayer.program import CallResult, PureCall
from flaxlayer.sizes import try_sizes
from flaxlayer.weights.variables import FlaxWeights
from flaxlayer_core import (
    ArgumentStructure,
    CallArgumentError,
    EscapeTraceError,
    FlaxLayerError,
    ModePlan,
    ModuleCall,
    ModuleSpec,
    VariableLayout,
    infer_module_spec,
    prng_impl,
    wrap_statics,
)

__all__ = ["ModuleRunner"]

_NO_LOCK = contextlib.nullcontext()


class ModuleRunner(keras.layers.Layer):
    """A Keras layer that can run one method of a Flax module on arrays.

    Subclasses say where the weights are (`_flax_weights`), what the call is (`_probe`), and which
    settings hold (`_source`).
    """

    def __init__(self, **kwargs: Any) -> None:
        # A7: Keras's own autocast would cast inputs under the plain default policy too.
        super().__init__(autocast=False, **kwargs)
        self._call_state = CallCache()
        self.supports_masking = True

    # What subclasses provide.

    @property
    def _flax_weights(self) -> FlaxWeights:
        raise NotImplementedError

    def _source(self) -> Any:
        """Returns the `FlaxLayer` whose weights and settings these are.

        No property: Keras's saving walks what properties return.
        """
        raise NotImplementedError

    def _probe(self, structure: ArgumentStructure) -> ModuleCall:
        raise NotImplementedError

    @property
    def _compute_cast(self) -> str | None:
        raise NotImplementedError

    # Execution.

    def _discovery_for(self, structure: ArgumentStructure, arrays: Sequence[Any]) -> ModuleSpec:
        known = self._call_state.latest = self._find_discovery(structure, arrays)
        return known

    def _find_discovery(self, structure: ArgumentStructure, arrays: Sequence[Any]) -> ModuleSpec:
        known = self._call_state.discoveries.get(structure)
        if known is None:
            with self._source().locks.build:  # A8
                known = self._call_state.discoveries.get(structure)
                known = known or self._discover(self._probe(structure), arrays)
                self._call_state.discoveries[structure] = known
        return known

    def _discover(self, probe: ModuleCall, arrays: Sequence[Any]) -> ModuleSpec:
        source = self._source().discovery
        if source.traceable:
            return try_sizes(
                array_specs(arrays),
                lambda sized: infer_module_spec(probe, sized, variables=source.variables),
            )
        inputs = list(map(current_backend().to_jax, arrays))
        weights = self._flax_weights
        variables = weights.layout.unflatten(weights.jax_values())
        return infer_module_spec(probe, inputs, abstract=False, variables=variables)

    def _program(
        self, structure: ArgumentStructure, arrays: Sequence[Any], training: bool, key: Any = None
    ) -> PureCall:
        discovery = self._discovery_for(structure, arrays)
        program = self._call_state.programs.get(key)
        if program is None:
            layout = self._source().discovery.layout
            program = self._make_program(structure, discovery.plan(training), layout)
            if key is not None:
                with self._source().locks.build:  # A8: that of the first thread
                    program = self._call_state.programs.setdefault(key, program)
        return program

    def _make_program(
        self, structure: ArgumentStructure, plan: ModePlan, layout: VariableLayout
    ) -> PureCall:
        source = self._source()
        return PureCall(
            self._probe(structure),
            plan,
            layout,
            source.losses_collections,
            self._compute_cast,
            source.platforms,
        )

    @explaining
    def _execute(self, arrays: list[Any], structure: ArgumentStructure, training: bool) -> Any:
        """Runs a call; returns its outputs as `wrap_statics` gives them."""
        clean = current_backend().is_outermost()
        if clean and (structure.statics or structure.numbers):
            arrays, structure = self._trace_numbers(arrays, structure)
        try:
            outcome = self._run(arrays, structure, training, clean)
        except (FlaxError, TypeError, ValueError) as error:
            if not isinstance(error, (FlaxLayerError, *JAX_ERRORS)):
                self._explain_misfit(arrays, error)
            raise
        if clean:
            self._call_state.sown = outcome.transient
        if outcome.loss is not None:
            self.add_loss(outcome.loss)
        return self._with_sown(outcome.outputs, outcome.transient)

    def _trace_numbers(
        self, arrays: list[Any], structure: ArgumentStructure
    ) -> tuple[list[Any], ArgumentStructure]:
        """Lets one program serve all values of a number of Python, where that is possible (A1)."""
        leaves, traced = structure.trace_numbers(arrays)
        if not traced.numbers:
            return arrays, structure
        state = self._call_state
        if state.fixed.get(traced) or not self._source().discovery.traceable:
            return traced.fix_numbers(leaves)
        if state.discoveries.get(traced) is not None:
            return leaves, traced
        try:
            self._discovery_for(traced, leaves)
        except Exception:  # a module may need the number in any way; a real fault comes again
            fixed, static = traced.fix_numbers(leaves)
            self._discovery_for(static, fixed)
            state.fixed[traced] = True
            return fixed, static
        return leaves, traced

    def _run(
        self, arrays: list[Any], structure: ArgumentStructure, training: bool, clean: bool
    ) -> CallResult:
        weights = self._flax_weights
        context = self._source().flax_module.call_context()
        key = self._program_key(structure, training, context)
        backend, traceable = current_backend(), self._source().discovery.traceable
        compiled = traceable and context is not None and (clean or backend.compiles_traces)
        program = self._program(structure, arrays, training, key if compiled else None)
        inline = None if compiled else backend.run_inline(program, traceable=traceable)
        run = inline or program.compiled
        # A8: calls of several threads that draw or change state come one after the other.
        turns = clean and program.moves and backend.may_wait()
        with self._source().locks.calls if turns else _NO_LOCK:
            seed = self._source().seed_generator.state.value if program.plan.streams else None
            outcome = CallResult(*run(weights.values(), seed, arrays))
            self._commit(outcome, training)
        return outcome

    def _program_key(self, structure: ArgumentStructure, training: bool, context: Any) -> Any:
        # JAX does not count the key implementation as context of a compiled function.
        return structure, training, self._compute_cast, context, prng_impl()

    def _preflight(self, inputs: BuildInputs, found: ModuleSpec, weights: FlaxWeights) -> None:
        # K4: found at build, not when the third epoch first runs it.
        context = self._source().flax_module.call_context()
        if context is None or not found.traceable:
            return

        def program(training: bool) -> PureCall:
            key = self._program_key(inputs.structure, training, context)
            made = self._make_program(inputs.structure, found.plan(training), weights.layout)
            return self._call_state.programs.setdefault(key, made)

        current_backend().preflight(program, weights.variables, inputs.specs)

    def _commit(self, outcome: CallResult, training: bool) -> None:
        writes = self._source().writable(outcome.changed, training)
        if outcome.seed is not None:
            writes.append((self._source().seed_generator.state, outcome.seed))
        if not writes:
            return
        if not compat.in_stateless_scope():
            self._refuse_tracers(writes)
        self._flax_weights.assign(writes)

    def _refuse_tracers(self, writes: Sequence[tuple[keras.Variable, Any]]) -> None:
        for variable, value in writes:
            if isinstance(value, jax.core.Tracer):
                raise EscapeTraceError(
                    f"Layer {self.name!r} cannot write {variable.path!r} from inside a JAX "
                    "transformation.",
                    expected="a call outside of jax.jit, jax.grad and the like, or a pure one",
                    found=f"a traced value, {value.aval}",
                    fix="Use layer.stateless_call(...) there, which returns the new state, or "
                    "state_updates='never' with training=False.",
                    law="A6",
                )

    def _explain_misfit(self, arrays: Sequence[Any], error: Exception) -> None:
        inputs, found = self._call_state.inputs, array_specs(arrays)
        built = inputs.specs if inputs else ()
        fits = len(built) == len(found) and all(
            spec.accepts((None, *other.shape[1:]) if other.shape else other.shape)
            or spec.accepts(other.shape)
            for spec, other in zip(built, found, strict=True)
        )
        if built and not fits:
            raise CallArgumentError(
                f"Layer {self.name!r} ({self._method_call.label}) failed on inputs of another "
                f"form than it was built with: {type(error).__name__}: {error}",
                expected=", ".join(map(str, built)),
                found=", ".join(map(str, found)) or "no arrays",
                fix="Call it with inputs of the form it was built with, or make a new layer.",
                law="A1",
            ) from error

    def _with_sown(self, outputs: Any, transient: Mapping[str, Any]) -> Any:
        names = self._source().return_sown
        if not names:
            return outputs
        sown = {name: transient[name] for name in names if name in transient}
        return outputs, wrap_statics(sown)
