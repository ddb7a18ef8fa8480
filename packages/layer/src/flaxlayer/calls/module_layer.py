"""How a Flax module is called as a Keras layer; what `FlaxLayer` and its methods share (§5)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import keras

from flaxlayer.backends import Backend, current_backend, unconverted
from flaxlayer.calls.keras_masks import MaskingLayer, masks_of
from flaxlayer.calls.output_forms import OutputForm
from flaxlayer.calls.overridden_methods import build_arguments, fits
from flaxlayer.calls.sequential_inputs import is_asking, open_inputs
from flaxlayer.calls.supposed_dtypes import cast_arrays, first_that_runs
from flaxlayer.compat import private_keras as compat
from flaxlayer.explained_errors import explaining
from flaxlayer.inputs import BuildInputs, array_specs, arrays_of, constant
from flaxlayer.keras_containers import register_tracked
from flaxlayer.saving.packed_arguments import PackedArguments, needs_packing
from flaxlayer.saving.refusals import refusing_in_load
from flaxlayer_core import (
    ArgumentStructure,
    has_sealed,
    partition,
    stream_rngs,
    unwrap_statics,
)

__all__ = ["ModuleLayer"]

register_tracked()


def _sign_for_keras(call: Callable[..., Any]) -> Callable[..., Any]:
    # Keras's Sequential looks for an input when a layer raises a TypeError, and hides the error if
    # the signature has none. A mask in it would be filled in by Keras, for every module (A4).
    signature = inspect.signature(call)
    owner, *others = (p for p in signature.parameters.values() if p.name != "mask")
    only = inspect.Parameter.POSITIONAL_ONLY
    named = [owner.replace(kind=only), inspect.Parameter("inputs", only, default=None), *others]
    call.__signature__ = signature.replace(parameters=named)  # type: ignore[attr-defined]
    return call


def _is_simple(value: Any, backend: Backend) -> bool:
    # What an eager call takes the short way with.
    if backend.is_value(value):
        return compat.get_mask(value) is None
    return value is None or type(value) is float


class ModuleLayer(MaskingLayer):
    """A Keras layer that calls one method of a Flax module; see `ModuleRunner` for subclasses."""

    # What subclasses provide besides.

    def _build_for(self, inputs: BuildInputs) -> None:
        raise NotImplementedError

    # Build by a call.

    @property
    def _settled(self) -> bool:
        return self.built and self._call_state.settled

    @explaining
    def _settle(self, arrays: Sequence[Any], structure: ArgumentStructure) -> None:
        """Builds the layer for a call, or again where its dtypes were supposed wrongly (A10)."""
        if self._settled or (self.built and is_asking()):
            return
        with self._source().locks.build:  # A8
            if not self._settled:
                self._settle_for(arrays, structure)

    def _settle_for(self, arrays: Sequence[Any], structure: ArgumentStructure) -> None:
        supposed = self._call_state.open_to(open_inputs()) or compat.in_symbolic_scope()
        backend = current_backend()
        values = list(map(backend.to_jax, arrays)) if backend.has_values(arrays) else None
        specs = array_specs(arrays)
        inputs = BuildInputs(specs, structure, values, called=True, guessed=supposed)
        if self._call_state.guessed:
            self._correct(inputs)
        elif supposed:
            first_that_runs(
                specs,
                lambda dtypes: self._build_for(inputs.with_dtypes(dtypes)),
            )
        else:
            self._build_for(inputs)

    def _correct(self, inputs: BuildInputs) -> None:
        known = self._call_state.inputs
        assert known is not None
        if known.structure != inputs.structure or known.allows(inputs):
            self._call_state.take(replace(known, guessed=inputs.guessed))
        else:
            self._build_for(known.corrected(inputs))

    # Calls.

    @unconverted
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Calls the method; arguments reach it unchanged (A1).

        Args:
            *args: Positional arguments of the method: arrays, pytrees, None, and static values.
            **kwargs: Keyword arguments of the method, and Keras's `training` and `mask`.

        Returns:
            What the method returns; with `return_sown`, `(outputs, sown)`.
        """
        if self._takes_shortcut(args, kwargs):
            named = {name: kwargs[name] for name in kwargs if name != "training"} if kwargs else {}
            arrays, structure = partition(args, named, trace_numbers=True)
            return unwrap_statics(self._execute(arrays, structure, bool(kwargs.get("training"))))
        return self._call_in_full(args, kwargs)

    @refusing_in_load
    def _call_in_full(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # Never empty: else Keras would record in a functional model the mask that it fills in.
        own = {"training": kwargs.pop("training", None)}
        if not self._calls_as_flax():
            return self._call_as_keras(args, kwargs, own)
        if isinstance(kwargs.get("flax_arguments"), PackedArguments):
            return self._call_recorded(args, kwargs, own)
        kwargs = self._given_mask(args, kwargs)
        arrays, structure = partition(args, kwargs)
        with self._recording_masks(arrays, given="mask" in kwargs):
            if not self._settled:
                self._settle(*self._with_masks(arrays, structure, masks_of(arrays)))
            return self._call_method(args, kwargs, own, arrays, structure)

    def _call_method(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        own: dict[str, Any],
        arrays: list[Any],
        structure: ArgumentStructure,
    ) -> Any:
        symbolic = any(isinstance(array, keras.KerasTensor) for array in arrays)
        if symbolic:
            masked = self._with_masks(arrays, structure, masks_of(arrays))
            form = self._output_form(*masked, own["training"])
            if not form.is_plain:
                packed = PackedArguments(structure, flat_outputs=True)
                tensors = super().__call__(*map(constant, arrays), flax_arguments=packed, **own)
                return form.outline.fill(tensors)
        masked_structure = self._masked_structure(arrays, structure, masks_of(arrays))
        sealed = self._returns_objects(masked_structure, bool(own["training"]))
        if sealed or needs_packing(args, kwargs, structure):
            packed = PackedArguments(structure, flat_outputs=sealed)
            constants = map(constant, arrays)
            return packed.assemble(super().__call__(*constants, flax_arguments=packed, **own))
        if symbolic:
            args, kwargs = jax.tree_util.tree_map(constant, (args, kwargs))
        return super().__call__(*args, **kwargs, **own)

    def _call_recorded(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], own: dict[str, Any]
    ) -> Any:
        # A functional model calls with what it recorded.
        with self._recording_masks(args):
            if not self._settled:  # as in clone_model
                structure = kwargs["flax_arguments"].structure
                self._settle(*self._with_masks(args, structure, masks_of(args)))
            return super().__call__(*args, **kwargs, **own)

    def _call_as_keras(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], own: dict[str, Any]
    ) -> Any:
        # W5: a subclass has a `call` of its own, and gets what Keras passes to such a one.
        arrays, structure = partition(*build_arguments(self._method_call, args, kwargs))
        mask = kwargs.get("mask")
        with self._recording_masks(arrays, given=mask is not None) as record:
            if hasattr(mask, "shape") and arrays:
                record.masks = {0: mask}
            if not self._settled and fits(self.call, args, kwargs):
                self._settle(arrays, structure)
            return super().__call__(*args, **kwargs, **own)

    def _returns_objects(self, structure: ArgumentStructure, training: bool) -> bool:
        # Keras would take an object of a user's class for a tensor, and write its mask on it.
        found = self._call_state.discoveries.get(structure)
        return found is not None and has_sealed(found.plan(training).output)

    @unconverted
    def build_on(self, /, *args: Any, **kwargs: Any) -> None:
        """Builds the layer as a call on these arguments would, without the call.

        No seed is drawn, and no state moves. A layer that is built stays as it is.

        Args:
            *args: Positional arguments of the method: arrays, Keras tensors or
                `jax.ShapeDtypeStruct`, in pytrees, and static values.
            **kwargs: Keyword arguments of the method, and Keras's `training` and `mask`.

        Raises:
            BuildModuleError: If the module cannot be built for such arguments.
            MatchVariablesError: If given variables do not fit.

        Example:

        ```python
        >>> import flax.linen as nn, jax, jax.numpy as jnp
        >>> from flaxlayer import FlaxLayer
        >>> layer = FlaxLayer(nn.Embed(5, 2), name="embed")
        >>> layer.build_on(jax.ShapeDtypeStruct((1, 3), jnp.int32))
        >>> [variable.path for variable in layer.weights]
        ['embed/params/embedding']

        ```
        """
        if not self._settled:
            self._settle(*self._split_call(args, kwargs))

    def _split_call(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[list[Any], ArgumentStructure]:
        own = {name: value for name, value in kwargs.items() if name != "training"}
        arrays, structure = partition(args, self._given_mask(args, own))
        return self._with_masks(arrays, structure, masks_of(arrays))

    def _takes_shortcut(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        backend = current_backend()
        # A6: an outermost eager call needs nothing of what Layer.__call__ does for other calls.
        return (
            bool(args)
            and self._settled
            and "mask" not in kwargs
            and all(_is_simple(arg, backend) for arg in args)
            and all(name == "training" or _is_simple(kwargs[name], backend) for name in kwargs)
            and compat.is_plain_call(self)
            and not self._source().losses_collections
            and self._calls_as_flax()
            and type(self).compute_mask is MaskingLayer.compute_mask
            and backend.is_outermost()
        )

    def _calls_as_flax(self) -> bool:
        return type(self).call is ModuleLayer.call

    def _method_arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], packed: Any, mask: Any
    ) -> tuple[list[Any], ArgumentStructure, dict[int, Any]]:
        """Returns the arguments of the method without masks, and the masks of its arrays."""
        record = self._mask_record()
        if packed is not None:
            return list(args), packed.structure, dict(record.masks) if record else {}
        if record is not None and record.given and mask is not None:
            # That of the caller reaches the method unchanged.
            kwargs = self._given_mask(args, {**kwargs, "mask": mask})
        arrays, structure = partition(args, kwargs)
        if record is not None and (self._calls_as_flax() or record.given):
            return arrays, structure, dict(record.masks) if self._calls_as_flax() else {}
        # Keras's own containers, and subclasses, pass the masks of the first argument.
        flat = keras.tree.flatten(mask)
        return arrays, structure, {i: part for i, part in enumerate(flat) if part is not None}

    @_sign_for_keras
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
        arrays, structure, masks = self._method_arguments(args, kwargs, flax_arguments, mask)
        masked = self._with_masks(arrays, structure, masks)
        self._settle(*masked)
        outputs = self._execute_in_scope(*masked, bool(training))
        leaves = arrays_of(outputs)
        if flax_arguments is not None and flax_arguments.flat_outputs:
            outputs = flax_arguments.flatten(outputs)
        else:
            outputs = unwrap_statics(outputs)
        self._carry(arrays, structure, masks, leaves, outputs)
        return outputs

    def _execute_in_scope(
        self, arrays: list[Any], structure: ArgumentStructure, training: bool
    ) -> Any:
        if not compat.in_symbolic_scope():
            return self._execute(arrays, structure, training)
        specs = array_specs(arrays)
        return first_that_runs(
            specs,
            lambda dtypes: self._execute(cast_arrays(arrays, specs, dtypes), structure, training),
        )

    def compute_output_spec(
        self,
        *args: Any,
        training: bool | None = None,
        mask: Any = None,
        flax_arguments: PackedArguments | None = None,
        **kwargs: Any,
    ) -> Any:
        """Returns the outputs of a symbolic call as Keras tensors, with no array made."""
        if not self._calls_as_flax():
            given = {"training": training, "mask": mask, **kwargs}
            given = {name: value for name, value in given.items() if value is not None}
            return keras.Operation.compute_output_spec(self, *args, **given)
        arrays, structure, masks = self._method_arguments(args, kwargs, flax_arguments, mask)
        masked = self._with_masks(arrays, structure, masks)
        self._settle(*masked)
        form = self._output_form(*masked, training)
        tensors = form.tensors()
        flat = flax_arguments is not None and flax_arguments.flat_outputs
        outputs = tensors if flat else form.outline.fill(tensors)
        self._carry(arrays, structure, masks, tensors, outputs)
        return outputs

    @explaining
    def _output_form(
        self, arrays: Sequence[Any], structure: ArgumentStructure, training: bool | None
    ) -> OutputForm:
        inputs = self._call_state.meant(array_specs(arrays))
        key = (structure, tuple(inputs), bool(training), self._compute_cast)
        form = self._call_state.output_forms.get(key)
        if form is None:
            form = OutputForm.of(
                inputs, lambda abstract: self._evaluate(structure, abstract, key[2])
            )
            self._call_state.output_forms[key] = form
        return form

    def _evaluate(self, structure: ArgumentStructure, arrays: Sequence[Any], training: bool) -> Any:
        program = self._program(structure, arrays, training)
        values = [jax.ShapeDtypeStruct(spec.shape, spec.dtype) for spec in program.layout.specs]
        seed = jax.ShapeDtypeStruct((2,), jnp.uint32)
        outputs, _, transient, _, _ = jax.eval_shape(program, values, seed, arrays)
        return self._with_sown(outputs, transient)

    # What a caller can look at.

    @property
    def sown(self) -> dict[str, Any]:
        """The transient collections of the last eager call (C7)."""
        return self._call_state.sown

    def peek_rngs(self, /, *args: Any, training: bool, **kwargs: Any) -> dict[str, jax.Array]:
        """Returns the keys that the next call will use, and draws nothing (R4).

        Args:
            *args: The positional arguments of that call; without arguments it has the form of the
                latest one.
            training: The mode of that call.
            **kwargs: The keyword arguments of that call.

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
        >>> layer.build_on(x)
        >>> rngs = layer.peek_rngs(x, training=True)
        >>> raw = nn.Dropout(0.5).apply({}, x, deterministic=False, rngs=rngs)
        >>> bool((layer(x, training=True) == raw).all())
        True

        ```
        """
        self._source().require_built("peek_rngs")
        if args or kwargs:
            arrays, structure = self._split_call(args, kwargs)
            asked = self._find_discovery(structure, arrays)
        else:
            asked = self._call_state.latest or self._source().discovery
        streams = asked.plan(training).streams
        seed = current_backend().to_jax(self._source().seed_generator.state.value)
        return stream_rngs(seed.astype(jnp.uint32), streams) if streams else {}
