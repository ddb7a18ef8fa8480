"""`ModuleLayer`: a Keras layer whose call is one of a method of a Flax module (§5)."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras

from flaxlayer.backends import unconverted
from flaxlayer.calls.eager_calls import NOT_TAKEN, EagerCalls
from flaxlayer.calls.keras_masks import MaskRouter, is_leading, masks_of
from flaxlayer.calls.overridden_methods import build_arguments, fits
from flaxlayer.calls.recomputing import recomputed
from flaxlayer.calls.runner import Runner
from flaxlayer.calls.settling import Builder, Settler
from flaxlayer.calls.supposed_dtypes import cast_arrays, first_that_runs
from flaxlayer.calls.symbolic_calls import infer_output_form
from flaxlayer.compat import private_keras
from flaxlayer.hosted import HostedModule
from flaxlayer.inputs import array_specs, arrays_of, constant, refusable_modes
from flaxlayer.keras_containers import register_tracked
from flaxlayer.saving.packed_arguments import PackedArguments, needs_packing
from flaxlayer.saving.refusals import refusing_in_load
from flaxlayer.typing import Args, Array, Function, Kwargs, PyTree
from flaxlayer_core import (
    ArgumentStructure,
    MethodSignature,
    has_sealed,
    partition,
    stream_rngs,
    unwrap_statics,
)

__all__ = ["ModuleLayer"]

register_tracked()


def _sign_for_keras(call: Function) -> Function:
    # Keras's Sequential looks for an input when a layer raises a TypeError, and hides the error if
    # the signature has none. A mask in it would be filled in by Keras, for every module (A4).
    signature = inspect.signature(call)
    owner, *others = (p for p in signature.parameters.values() if p.name != "mask")
    only = inspect.Parameter.POSITIONAL_ONLY
    named = [owner.replace(kind=only), inspect.Parameter("inputs", only, default=None), *others]
    call.__signature__ = signature.replace(parameters=named)  # type: ignore[attr-defined]
    return call


class ModuleLayer(keras.layers.Layer):
    """The one class of ours that Keras's layers are a base of; `FlaxLayer` and `FlaxMethod` are it.

    It is put together of parts, which `_host` sets: what is hosted, what runs it, what hands its
    masks on, and what builds it.
    """

    _hosted: HostedModule
    _runner: Runner
    _masks: MaskRouter
    _eager: EagerCalls | None
    _builder: Builder
    _settler: Settler
    # Another class in its place changes how calls run, as `conformance.faults` does.
    _runner_class: type[Runner] = Runner
    _settler_class: type[Settler] = Settler

    def __init__(self, **kwargs: PyTree) -> None:
        # A7: Keras's own autocast would cast inputs under the plain default policy too.
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True

    def _host(self, hosted: HostedModule, method: MethodSignature) -> None:
        cls = type(self)
        calls_method = cls.call is ModuleLayer.call
        self._hosted = hosted
        self._runner = self._runner_class(self, hosted, method)
        self._masks = MaskRouter(self._runner, calls_method=calls_method)
        plain = calls_method and cls.compute_mask is ModuleLayer.compute_mask
        self._eager = EagerCalls(self._runner) if plain else None
        if calls_method:
            private_keras.announce_mask(self, takes=method.mask_arg is not None)

    def _build_with(self, builder: Builder) -> None:
        self._builder = builder
        self._settler = self._settler_class(self._runner, builder)

    # Build by a call.

    @unconverted
    def build_on(self, /, *args: PyTree, **kwargs: PyTree) -> None:
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
        if not self._settler.settled:
            self._settler.settle(*self._partition(args, kwargs))

    def _partition(self, args: Args, kwargs: Kwargs) -> tuple[list[Array], ArgumentStructure]:
        own = {name: value for name, value in kwargs.items() if name != "training"}
        arrays, structure = partition(args, self._masks.given_mask(args, own))
        return self._masks.with_masks(arrays, structure, masks_of(arrays))

    # Calls.

    @unconverted
    def __call__(self, /, *args: PyTree, **kwargs: PyTree) -> PyTree:
        """Calls the method; arguments reach it unchanged (A1).

        Args:
            *args: Positional arguments of the method: arrays, pytrees, None, and static values.
            **kwargs: Keyword arguments of the method, and Keras's `training` and `mask`.

        Returns:
            What the method returns; with `return_sown`, `(outputs, sown)`.
        """
        outputs = NOT_TAKEN if self._eager is None else self._eager.run(args, kwargs)
        return self._call_in_full(args, kwargs) if outputs is NOT_TAKEN else outputs

    @refusing_in_load
    def _call_in_full(self, args: Args, kwargs: dict[str, PyTree]) -> PyTree:
        # Never empty: else Keras would record in a functional model the mask that it fills in.
        own = {"training": kwargs.pop("training", None)}
        if not self._masks.calls_method:
            return self._call_as_keras(args, kwargs, own)
        if isinstance(kwargs.get("flax_arguments"), PackedArguments):
            return self._call_recorded(args, kwargs, own)
        kwargs = self._masks.given_mask(args, kwargs)
        arrays, structure = partition(args, kwargs)
        with self._masks.recording(arrays, given="mask" in kwargs):
            if self._settler.settled:
                self._settler.keep_dtypes(arrays)
            else:
                masked = self._masks.with_masks(arrays, structure, masks_of(arrays))
                self._settler.settle(*masked, refusable=refusable_modes(own["training"]))
            return self._call_method(args, kwargs, own, arrays, structure)

    def _call_method(
        self,
        args: Args,
        kwargs: Kwargs,
        own: dict[str, bool | None],
        arrays: list[Array],
        structure: ArgumentStructure,
    ) -> PyTree:
        masks, training = masks_of(arrays), own["training"]
        symbolic = any(isinstance(array, keras.KerasTensor) for array in arrays)
        if symbolic:
            masked = self._masks.with_masks(arrays, structure, masks)
            form = infer_output_form(self._runner, *masked, training)
            if not form.is_plain:
                packed = PackedArguments(structure, flat_outputs=True)
                tensors = super().__call__(*map(constant, arrays), flax_arguments=packed, **own)
                return form.outline.fill(tensors)
        sealed = self._returns_objects(arrays, structure, masks, bool(training))
        if sealed or needs_packing(args, kwargs, structure) or self._changes(arrays):
            packed = PackedArguments(structure, flat_outputs=sealed)
            constants = map(constant, arrays)
            return packed.assemble(super().__call__(*constants, flax_arguments=packed, **own))
        if symbolic:
            args, kwargs = jax.tree_util.tree_map(constant, (args, kwargs))
        return super().__call__(*args, **kwargs, **own)

    def _call_recorded(self, args: Args, kwargs: Kwargs, own: dict[str, bool | None]) -> PyTree:
        # A functional model calls with what it recorded.
        with self._masks.recording(args):
            if not self._settler.settled:  # as in clone_model
                structure = kwargs["flax_arguments"].structure
                masked = self._masks.with_masks(args, structure, masks_of(args))
                self._settler.settle(*masked, refusable=refusable_modes(own["training"]))
            return super().__call__(*args, **kwargs, **own)

    def _call_as_keras(self, args: Args, kwargs: Kwargs, own: dict[str, bool | None]) -> PyTree:
        # W5: a subclass has a `call` of its own, and gets what Keras passes to such a one.
        arrays, structure = partition(*build_arguments(self._runner.method, args, kwargs))
        mask = kwargs.get("mask")
        with self._masks.recording(arrays, given=mask is not None) as record:
            if hasattr(mask, "shape") and arrays:
                record.masks = {0: mask}
            if self._settler.settled:
                self._settler.keep_dtypes(arrays)
            elif fits(self.call, args, kwargs):
                self._settler.settle(arrays, structure, refusable=refusable_modes(own["training"]))
            outputs = super().__call__(*args, **kwargs, **own)
        if mask is None and any(isinstance(array, keras.KerasTensor) for array in arrays):
            private_keras.forget_filled_mask(self)
        return outputs

    def _changes(self, arrays: list[Array]) -> bool:
        # A10: Keras would give the module an array of another dtype.
        passed_on = self._runner.backend.passed_on
        return any(passed_on(array) is not array for array in arrays)

    def _returns_objects(
        self,
        arrays: list[Array],
        structure: ArgumentStructure,
        masks: dict[int, Array],
        training: bool,
    ) -> bool:
        # Keras would take an object of a user's class for a tensor, and write its mask on it.
        masked_structure = self._masks.masked_structure(arrays, structure, masks)
        found = self._runner.cache.specs.get(masked_structure)
        if found is None and masks:  # the first call of its form
            masked = self._masks.with_masks(arrays, structure, masks)
            found = self._runner.spec_to_run(*masked, training)
        return found is not None and has_sealed(found.plan(training).output)

    def _method_arguments(
        self, args: Args, kwargs: Kwargs, packed: Any, mask: Array
    ) -> tuple[list[Array], ArgumentStructure, dict[int, Array]]:
        """Returns the arguments of the method without masks, and the masks of its arrays."""
        record, calls_method = self._masks.record, self._masks.calls_method
        if packed is not None:
            return list(args), packed.structure, dict(record.masks) if record else {}
        # A wrapper of Keras calls `call` by itself, without a record, with masks of Keras.
        given = record.given if record is not None else calls_method and not is_leading(mask, args)
        if given and mask is not None:
            # That of the caller reaches the method unchanged.
            kwargs = self._masks.given_mask(args, {**kwargs, "mask": mask})
        arrays, structure = partition(args, kwargs)
        if given or (record is not None and calls_method):
            return arrays, structure, dict(record.masks) if record and calls_method else {}
        # Keras's own containers, and subclasses, pass the masks of the first argument.
        flat = keras.tree.flatten(mask)
        return arrays, structure, {i: part for i, part in enumerate(flat) if part is not None}

    @_sign_for_keras
    @unconverted
    def call(
        self,
        *args: PyTree,
        training: bool | None = None,
        mask: Array = None,
        flax_arguments: PackedArguments | None = None,
        **kwargs: PyTree,
    ) -> PyTree:
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
        masked = self._masks.with_masks(arrays, structure, masks)
        self._settler.settle(*masked, refusable=refusable_modes(training))
        outputs = self._execute_in_scope(*masked, bool(training))
        leaves = arrays_of(outputs)
        if flax_arguments is not None and flax_arguments.flat_outputs:
            outputs = flax_arguments.flatten(outputs)
        else:
            outputs = unwrap_statics(outputs)
        self._masks.carry(arrays, structure, masks, leaves, outputs)
        return outputs

    def rematerialized_call(
        self, layer_call: Function, *args: PyTree, **kwargs: PyTree
    ) -> Function:
        """Returns the call as the `keras.RematScope` that the layer was made in asks for it.

        Args:
            layer_call: The call of the layer.
            *args: Its arguments.
            **kwargs: Its keyword arguments.
        """
        asked = super().rematerialized_call(layer_call, *args, **kwargs)
        return layer_call if asked is layer_call else recomputed(layer_call)

    def stateless_call(
        self,
        trainable_variables: Sequence[Array],
        non_trainable_variables: Sequence[Array],
        *args: PyTree,
        return_losses: bool = False,
        **kwargs: PyTree,
    ) -> tuple[PyTree, ...]:
        """Calls the layer with values in place of its variables, and writes none.

        Args:
            trainable_variables: Values in the order of `layer.trainable_variables`.
            non_trainable_variables: Values in the order of `layer.non_trainable_variables`.
            *args: Positional arguments of the method.
            return_losses: Whether the losses are returned as well.
            **kwargs: Keyword arguments of the method, and Keras's `training`; a `mask` reaches the
                method as it is.

        Returns:
            The outputs, and the new values of the non-trainable variables; the losses behind them
            if they are asked for.
        """
        with self._masks.recording((), given=kwargs.get("mask") is not None):
            called: tuple[PyTree, ...] = super().stateless_call(
                trainable_variables,
                non_trainable_variables,
                *args,
                return_losses=return_losses,
                **kwargs,
            )
        return called

    def _execute_in_scope(
        self, arrays: list[Array], structure: ArgumentStructure, training: bool
    ) -> PyTree:
        execute = self._runner.execute
        if not private_keras.in_symbolic_scope():
            return execute(arrays, structure, training)
        specs = array_specs(arrays)
        return first_that_runs(
            specs,
            lambda dtypes: execute(cast_arrays(arrays, specs, dtypes), structure, training),
        )

    def compute_output_spec(
        self,
        *args: PyTree,
        training: bool | None = None,
        mask: Array = None,
        flax_arguments: PackedArguments | None = None,
        **kwargs: PyTree,
    ) -> PyTree:
        """Returns the outputs of a symbolic call as Keras tensors, with no array made."""
        if not self._masks.calls_method:
            given = {"training": training, "mask": mask, **kwargs}
            given = {name: value for name, value in given.items() if value is not None}
            return keras.Operation.compute_output_spec(self, *args, **given)
        arrays, structure, masks = self._method_arguments(args, kwargs, flax_arguments, mask)
        masked = self._masks.with_masks(arrays, structure, masks)
        self._settler.settle(*masked, refusable=refusable_modes(training))
        form = infer_output_form(self._runner, *masked, training)
        tensors = form.tensors()
        flat = flax_arguments is not None and flax_arguments.flat_outputs
        outputs = tensors if flat else form.outline.fill(tensors)
        self._masks.carry(arrays, structure, masks, tensors, outputs)
        return outputs

    def compute_mask(self, inputs: PyTree, previous_mask: PyTree = None) -> PyTree:
        """Returns the masks of the outputs: of those that keep the masked dimensions (A4).

        Args:
            inputs: The first argument of the method.
            previous_mask: Its mask, or masks in its structure.

        Returns:
            A mask, or a list with one for each array of the outputs; None for no mask.

        Example:

        ```python
        >>> import flax.linen as nn, jax.numpy as jnp
        >>> from flaxlayer import FlaxLayer
        >>> x, mask = jnp.ones((1, 3, 2)), jnp.array([[True, True, False]])
        >>> FlaxLayer(nn.Dense(4)).compute_mask(x, mask).tolist()
        [[True, True, False]]

        ```
        """
        found = self._masks.output_masks(inputs, previous_mask)
        if found is None:
            return previous_mask
        if all(mask is None for mask in found):
            return None
        return found[0] if len(found) == 1 else found

    # What a caller can look at.

    @property
    def sown(self) -> dict[str, PyTree]:
        """The transient collections of the last eager call (C7)."""
        return self._runner.cache.sown

    def peek_rngs(self, /, *args: PyTree, training: bool, **kwargs: PyTree) -> dict[str, jax.Array]:
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
        hosted, runner = self._hosted, self._runner
        hosted.require_built("peek_rngs")
        if args or kwargs:
            arrays, structure = self._partition(args, kwargs)
            asked = runner.find_spec(structure, arrays, training)
        else:
            asked = runner.cache.latest or hosted.spec
            asked = asked if asked.plan(training).applied else hosted.spec
        streams = asked.plan(training).streams
        seed = runner.backend.to_jax(hosted.seed_generator.state.value)
        return stream_rngs(seed.astype(jnp.uint32), streams) if streams else {}
