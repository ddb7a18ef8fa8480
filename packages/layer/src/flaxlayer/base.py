"""How a Flax module is called as a Keras layer; what `FlaxLayer` and its methods share (§5)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
from flax.errors import FlaxError

from flaxlayer import compat
from flaxlayer.backends import current_backend, unconverted
from flaxlayer.call_state import (
    CallState,
    array_specs,
    arrays_of,
    keras_tensor,
    replace_arrays,
)
from flaxlayer.execution import Outcome, Program
from flaxlayer.packing import PackedArguments, needs_packing
from flaxlayer.sizes import try_sizes
from flaxlayer.storing import CallInputs
from flaxlayer.weights import FlaxWeights
from flaxlayer_core import (
    ArgumentStructure,
    CallArgumentError,
    Discovery,
    EscapeTraceError,
    FlaxLayerError,
    ModePlan,
    Probe,
    VariableLayout,
    discover,
    output_specs,
    split_arguments,
    stream_rngs,
    unwrap_statics,
)
from flaxlayer_core.compat import prng_impl

__all__ = ["ModuleLayer"]


def _name_input(call: Callable[..., Any]) -> Callable[..., Any]:
    # Keras's Sequential looks for it when a layer raises a TypeError, and hides the error if the
    # signature has none.
    signature = inspect.signature(call)
    owner, *others = signature.parameters.values()
    only = inspect.Parameter.POSITIONAL_ONLY
    named = [owner.replace(kind=only), inspect.Parameter("inputs", only, default=None), *others]
    call.__signature__ = signature.replace(parameters=named)  # type: ignore[attr-defined]
    return call


class ModuleLayer(keras.layers.Layer):
    """A Keras layer that calls one method of a Flax module.

    Subclasses say where the weights are (`_flax_weights`), what the call is (`_probe`), and which
    settings hold (`_settings`).
    """

    def __init__(self, **kwargs: Any) -> None:
        # A7: Keras's own autocast would cast inputs under the plain default policy too.
        super().__init__(autocast=False, **kwargs)
        self._call_state = CallState()
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

    def _probe(self, structure: ArgumentStructure) -> Probe:
        raise NotImplementedError

    def _build_call(self, arrays: Sequence[Any], structure: ArgumentStructure) -> None:
        raise NotImplementedError

    @property
    def _compute_cast(self) -> str | None:
        raise NotImplementedError

    # Calls.

    @unconverted
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the method; arguments reach it unchanged (A1).

        Args:
            *args: Positional arguments of the method: arrays, pytrees, None, and static values.
            **kwargs: Keyword arguments of the method, and Keras's `training` and `mask`.

        Returns:
            What the method returns; with `return_sown`, `(outputs, sown)`.
        """
        if self._takes_shortcut(args, kwargs):
            arrays, structure = split_arguments(args, {})
            return self._execute(arrays, structure, bool(kwargs.get("training")))
        own = {name: kwargs.pop(name) for name in ("training", "mask") if name in kwargs}
        if "flax_arguments" in kwargs:  # a functional model calls with what it recorded
            if not self.built:  # as in clone_model
                self._build_call(*self._unpack(args, {}, kwargs["flax_arguments"], own.get("mask")))
            return super().__call__(*args, **kwargs, **own)
        own["mask"] = self._incoming_mask(args, kwargs, own.get("mask"))
        if not self.built:
            self._build_call(*self._split(args, kwargs, own["mask"]))
        arrays, structure = split_arguments(args, kwargs)
        if any(isinstance(array, keras.KerasTensor) for array in arrays):
            outputs = self.compute_output_spec(*args, **kwargs, **own)
            if not all(isinstance(t, keras.KerasTensor) for t in keras.tree.flatten(outputs)):
                packed = PackedArguments(structure, flat_outputs=True)
                tensors = super().__call__(*arrays, flax_arguments=packed, **own)
                return replace_arrays(outputs, tensors)
        if needs_packing(args, kwargs, arrays, structure):
            return super().__call__(*arrays, flax_arguments=PackedArguments(structure), **own)
        return super().__call__(*args, **kwargs, **own)

    def _takes_shortcut(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        backend = current_backend()
        # A6: an outermost eager call needs nothing of what Layer.__call__ does for other calls.
        return (
            bool(args)
            and self.built
            and (not kwargs or (len(kwargs) == 1 and "training" in kwargs))
            and all(backend.is_value(arg) and compat.get_mask(arg) is None for arg in args)
            and compat.is_plain_call(self)
            and not self._source().losses_collections
            and type(self).call is ModuleLayer.call
            and backend.is_outermost()
        )

    def _incoming_mask(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], given: Any) -> Any:
        if given is not None:
            return given
        first = args[0] if args else next(iter(kwargs.values()), None)
        masks = keras.tree.map_structure(compat.get_mask, first)
        return masks if any(m is not None for m in keras.tree.flatten(masks)) else None

    def _split(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], mask: Any
    ) -> tuple[list[Any], ArgumentStructure]:
        return split_arguments(args, self._method_call.add_mask(args, kwargs, mask))

    def _unpack(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], packed: Any, mask: Any
    ) -> tuple[list[Any], ArgumentStructure]:
        if packed is not None:
            args, kwargs = packed.structure.merge(args)
        if mask is not None and all(m is None for m in keras.tree.flatten(mask)):
            mask = None
        return self._split(args, kwargs, mask)

    @_name_input
    def call(
        self,
        *args: Any,
        training: bool | None = None,
        mask: Any = None,
        flax_arguments: PackedArguments | None = None,
        **kwargs: Any,
    ) -> Any:
        """Runs the method on arrays; Keras calls this.

        Args:
            *args: Positional arguments of the method.
            training: Keras's training flag.
            mask: The mask of the first argument.
            flax_arguments: The static side of the call, where the arguments are not plain arrays.
            **kwargs: Keyword arguments of the method.

        Returns:
            What the method returns; with `return_sown`, `(outputs, sown)`.
        """
        arrays, structure = self._unpack(args, kwargs, flax_arguments, mask)
        try:
            outputs = self._execute(arrays, structure, bool(training))
        except FlaxLayerError as error:
            compat.keep_message(error)
            raise
        return arrays_of(outputs) if flax_arguments and flax_arguments.flat_outputs else outputs

    def compute_output_spec(
        self,
        *args: Any,
        training: bool | None = None,
        mask: Any = None,
        flax_arguments: PackedArguments | None = None,
        **kwargs: Any,
    ) -> Any:
        """Returns the outputs of a symbolic call as Keras tensors, with no array made."""
        arrays, structure = self._unpack(args, kwargs, flax_arguments, mask)
        if not self.built:
            self._build_call(arrays, structure)

        inputs = array_specs(arrays)
        key = (structure, tuple(inputs), bool(training), self._compute_cast)
        specs = self._call_state.output_specs.get(key)
        if specs is None:
            specs = output_specs(
                inputs, lambda abstract: self._evaluate(structure, abstract, key[2])
            )
            self._call_state.output_specs[key] = specs
        outputs = jax.tree_util.tree_map(keras_tensor, specs)
        return arrays_of(outputs) if flax_arguments and flax_arguments.flat_outputs else outputs

    def _evaluate(self, structure: ArgumentStructure, arrays: Sequence[Any], training: bool) -> Any:
        program = self._program(structure, arrays, training)
        values = [jax.ShapeDtypeStruct(spec.shape, spec.dtype) for spec in program.layout.specs]
        seed = jax.ShapeDtypeStruct((2,), jnp.uint32)
        outputs, _, transient, _, _ = jax.eval_shape(program, values, seed, arrays)
        return self._assemble(outputs, transient)

    # Execution.

    def _discovery_for(self, structure: ArgumentStructure, arrays: Sequence[Any]) -> Discovery:
        known = self._call_state.discoveries.get(structure)
        if known is None:
            known = self._discover(self._probe(structure), arrays)
            self._call_state.discoveries[structure] = known
        self._call_state.latest = known
        return known

    def _discover(self, probe: Probe, arrays: Sequence[Any]) -> Discovery:
        source = self._source().discovery
        if source.traceable:
            return try_sizes(
                array_specs(arrays),
                lambda sized: discover(probe, sized, variables=source.variables),
            )
        inputs = list(map(current_backend().to_jax, arrays))
        weights = self._flax_weights
        variables = weights.layout.unflatten(weights.jax_values())
        return discover(probe, inputs, abstract=False, variables=variables)

    def _program(
        self, structure: ArgumentStructure, arrays: Sequence[Any], training: bool, key: Any = None
    ) -> Program:
        discovery = self._discovery_for(structure, arrays)
        program = self._call_state.programs.get(key)
        if program is None:
            layout = self._source().discovery.layout
            program = self._make_program(structure, discovery.plan(training), layout)
            if key is not None:
                self._call_state.programs[key] = program
        return program

    def _make_program(
        self, structure: ArgumentStructure, plan: ModePlan, layout: VariableLayout
    ) -> Program:
        source = self._source()
        return Program(
            self._probe(structure),
            plan,
            layout,
            source.losses_collections,
            self._compute_cast,
            source.platforms,
        )

    def _execute(self, arrays: list[Any], structure: ArgumentStructure, training: bool) -> Any:
        clean = current_backend().is_outermost()
        try:
            outcome = self._run(arrays, structure, training, clean)
        except FlaxLayerError:
            raise
        except (FlaxError, TypeError, ValueError) as error:
            self._explain_misfit(arrays, error)
            raise
        self._commit(outcome, training)
        if clean:
            self._call_state.sown = outcome.transient
        if outcome.loss is not None:
            self.add_loss(outcome.loss)
        return self._assemble(outcome.outputs, outcome.transient)

    def _run(
        self, arrays: list[Any], structure: ArgumentStructure, training: bool, clean: bool
    ) -> Outcome:
        weights = self._flax_weights
        context = self._source().flax_module.call_context()
        key = self._program_key(structure, training, context)
        backend, traceable = current_backend(), self._source().discovery.traceable
        compiled = traceable and context is not None and (clean or backend.compiles_traces)
        program = self._program(structure, arrays, training, key if compiled else None)
        seed = self._source().seed_generator.state.value if program.plan.streams else None
        inline = None if compiled else backend.run_inline(program, traceable=traceable)
        run = inline or program.compiled
        return Outcome(*run(weights.values(), seed, arrays))

    def _program_key(self, structure: ArgumentStructure, training: bool, context: Any) -> Any:
        # JAX does not count the key implementation as context of a compiled function.
        return structure, training, self._compute_cast, context, prng_impl()

    def _preflight(self, inputs: CallInputs, found: Discovery, weights: FlaxWeights) -> None:
        # K4: found at build, not when the third epoch first runs it.
        context = self._source().flax_module.call_context()
        if context is None or not found.traceable:
            return

        def program(training: bool) -> Program:
            key = self._program_key(inputs.structure, training, context)
            made = self._make_program(inputs.structure, found.plan(training), weights.layout)
            return self._call_state.programs.setdefault(key, made)

        current_backend().preflight(program, weights.variables, inputs.specs)

    def _commit(self, outcome: Outcome, training: bool) -> None:
        writes = self._source().writable(outcome.changed, training)
        if outcome.seed is not None:
            writes.append((self._source().seed_generator.state, outcome.seed))
        if not writes:
            return
        if not compat.in_stateless_scope():
            self._refuse_tracers(writes)
        for variable, value in writes:
            variable.assign(value)

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

    def _assemble(self, outputs: Any, transient: Mapping[str, Any]) -> Any:
        if not current_backend().is_value(outputs):
            outputs = unwrap_statics(outputs)
        names = self._source().return_sown
        if not names:
            return outputs
        return outputs, {name: transient[name] for name in names if name in transient}

    # What a caller can look at.

    @property
    def sown(self) -> dict[str, Any]:
        """The transient collections of the last eager call (C7)."""
        return self._call_state.sown

    def peek_rngs(self, *, training: bool) -> dict[str, jax.Array]:
        """Returns the keys that the next call will use, and draws nothing (R4).

        Args:
            training: The mode of that call.

        Returns:
            A typed key for each stream that the call draws from, as `Module.apply(rngs=...)`
            takes it; empty if it draws none.

        Raises:
            BuildModuleError: If the layer is not built.

        Example:

        ```python
        >>> import flax.linen as nn, jax.numpy as jnp
        >>> from flaxlayer import FlaxLayer
        >>> layer = FlaxLayer(nn.Dropout(0.5), seed=1)
        >>> x = jnp.ones((2, 4))
        >>> _ = layer(x)
        >>> rngs = layer.peek_rngs(training=True)
        >>> raw = nn.Dropout(0.5).apply({}, x, deterministic=False, rngs=rngs)
        >>> bool((layer(x, training=True) == raw).all())
        True

        ```
        """
        self._source().require_built("peek_rngs")
        latest = self._call_state.latest or self._source().discovery
        streams = latest.plan(training).streams
        seed = current_backend().to_jax(self._source().seed_generator.state.value)
        return stream_rngs(seed.astype(jnp.uint32), streams) if streams else {}
