"""How a layer gets its variables: from inputs, from shapes alone, or from a file (B1, W4, A10)."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flaxlayer.calls.overridden_methods import first_shape, reshaped
from flaxlayer.calls.runner import Runner
from flaxlayer.calls.sequential_inputs import keep_dtypes, open_inputs
from flaxlayer.calls.supposed_dtypes import build_supposing, first_that_runs
from flaxlayer.calls.symbolic_calls import infer_output_form, summary_shapes
from flaxlayer.compat import private_keras
from flaxlayer.compat.keras_loads import LoadMark, load_mark
from flaxlayer.inputs import BuildInputs, inputs_from_shapes, keras_tensor
from flaxlayer.memory import note_taken, size_bound
from flaxlayer.saving.weights_files import StoredWeights
from flaxlayer.typing import Array, Shape, Variables
from flaxlayer.weights.initial import InitialValues
from flaxlayer.weights.sharding import shardings_of, variable_layouts
from flaxlayer.weights.variables import FlaxWeights, create_weights
from flaxlayer_core import (
    BuildSpec,
    InitTrace,
    VariableLayout,
    as_arrays,
    as_form,
    collecting_rarely,
    count_bytes,
    format_path,
    infer_build_spec,
    initial_variables,
)

__all__ = ["LayerBuilder"]


@dataclass(frozen=True)
class _PendingBuild:
    """What a build is for; Keras and subclasses hand `build` nothing but its shapes."""

    inputs: BuildInputs
    file: StoredWeights | None


class LayerBuilder:
    """Builds a `FlaxLayer`.

    Args:
        runner: Runs the method of the layer.
        overridden: Whether a subclass has a `build` of its own (W5).
    """

    def __init__(self, runner: Runner, *, overridden: bool) -> None:
        self._runner, self._layer, self._hosted = runner, runner.layer, runner.hosted
        self.overridden = overridden
        self._pending: _PendingBuild | None = None
        self._load: weakref.ref[LoadMark] | None = None

    @property
    def is_of_this_load(self) -> bool:
        """Whether the variables were made by the load that runs, which fails or makes all new."""
        made_by = None if self._load is None else self._load()
        return made_by is not None and made_by is load_mark()

    def build(self, input_shape: Shape) -> None:
        """Creates the variables; see `FlaxLayer.build`."""
        pending, self._pending = self._pending, None
        if pending is not None:
            inputs = reshaped(pending.inputs, input_shape, self._runner.method)
            self._create(inputs, pending.file)
            return
        cache = self._runner.cache
        if self._hosted.weights is not None and not cache.guessed:
            return
        cache.open_to(open_inputs())
        build_supposing(inputs_from_shapes(input_shape, self._runner.method), self._create)

    def output_shape(self, input_shape: Shape) -> Any:
        """Returns the shapes of the outputs; see `FlaxLayer.compute_output_shape`."""
        if isinstance(input_shape, BuildInputs):  # from model.summary()
            return summary_shapes(self._runner, input_shape)
        with self._hosted.locks.build:  # A8
            known = self._runner.cache.inputs
            if self._hosted.weights is None:
                self._layer.build(input_shape)
            elif known is not None and self._runner.cache.settled:
                keep_dtypes(known.dtypes)
        supposed = inputs_from_shapes(input_shape, self._runner.method)
        return first_that_runs(
            supposed.specs,
            lambda dtypes: self._output_shapes(supposed.with_dtypes(dtypes)),
        )

    def _output_shapes(self, inputs: BuildInputs) -> Any:
        tensors = list(map(keras_tensor, inputs.specs))
        form = infer_output_form(self._runner, tensors, inputs.structure, False)
        return form.outline.fill([spec.shape for spec in form.specs])

    def build_for(self, inputs: BuildInputs, file: StoredWeights | None = None) -> None:
        """Builds the layer for inputs.

        Args:
            inputs: The inputs of a call, or those that a file names.
            file: What the variables are made of, None for initial values.
        """
        if self._hosted.weights is not None or not self._built_by_own(inputs, file):
            with private_keras.scope_of(self._layer):
                self._create(inputs, file)
        private_keras.keep_build_shape(self._layer, inputs.without_values())

    def _built_by_own(self, inputs: BuildInputs, file: StoredWeights | None) -> bool:
        """Calls `build`; a subclass may build only what it added."""
        self._pending = _PendingBuild(inputs, file)
        try:
            self._layer.build(first_shape(inputs))
        finally:
            left, self._pending = self._pending, None
        cache = self._runner.cache
        if cache.inputs is not None and self.overridden:
            cache.take(replace(inputs, given=cache.inputs.given))  # what a file builds it for
        return left is None

    def restored(self) -> contextlib.AbstractContextManager[None]:
        """Opens a context whose failure leaves the layer as it was (S6)."""
        hosted = self._hosted
        return private_keras.restoring(self._layer, hosted, hosted.frozen, self._runner.cache)

    def _create(self, inputs: BuildInputs, file: StoredWeights | None = None) -> None:
        with self.restored(), collecting_rarely():
            self.create(inputs, file)

    def create(self, inputs: BuildInputs, file: StoredWeights | None) -> None:
        """Infers what the module stores for inputs, and makes its variables."""
        hosted = self._hosted
        form = self.form_of_given()
        hosted.settings = replace(
            hosted.settings, given_form=inputs.given if form is None else form
        )
        call = self._runner.module_call(inputs.structure)
        if inputs.stored and call.bound is None:
            call = replace(call, bound=size_bound(call.title))
        bound = call.bound
        if bound is not None:
            bound.check_described(inputs.specs)
        # A decode module may only take other inputs than those that it is built with.
        build_spec, trace = infer_build_spec(
            call,
            inputs.specs,
            values=inputs.values,
            applied=inputs.called,
            prepare=file is None and self._runner.backend.distribution() is None,
            refusable=inputs.refusable,
        )
        layout = build_spec.spec.layout
        kept = self._kept(layout)
        weights = kept or self._make_weights(build_spec, trace, inputs, file)
        if kept is None:
            load = load_mark()
            self._load = None if load is None else weakref.ref(load)
        self._take(build_spec, weights, inputs)
        if bound is not None and kept is None:
            note_taken(sum(map(count_bytes, layout.specs)))

    def _kept(self, layout: VariableLayout) -> FlaxWeights | None:
        # What was supposed of the inputs was wrong, yet their weights may be the same (A10).
        known = self._hosted.weights
        if known is None or known.layout.specs != layout.specs:
            return None
        return replace(known, layout=layout) if known.layout.roles == layout.roles else None

    def _make_weights(
        self,
        build_spec: BuildSpec,
        trace: InitTrace | None,
        inputs: BuildInputs,
        file: StoredWeights | None,
    ) -> FlaxWeights:
        call, layout, layer = build_spec.call, build_spec.spec.layout, self._layer
        if call.bound is not None:
            call.bound.check_made(layout.specs, drawn=file is None)
        layouts = variable_layouts(build_spec, prefix=layer.path, title=call.title)
        places = shardings_of(layouts)
        initial: Callable[[], Sequence[Array]] = InitialValues(
            lambda: initial_variables(
                build_spec,
                self._hosted.seed,
                trace=trace,
                values=inputs.values,
                shardings=places,
            )
        )
        if file is not None:
            initial = file.values(layout, places)
        return create_weights(
            layout,
            initial,
            variable_dtype=layer.variable_dtype if self._hosted.has_own_dtype else None,
            title=call.title,
            layouts=layouts,
        )

    def _take(self, build_spec: BuildSpec, weights: FlaxWeights, inputs: BuildInputs) -> None:
        hosted, cache, found = self._hosted, self._runner.cache, build_spec.spec
        hosted.flax_module = build_spec.call.flax_module
        roles = dict(weights.layout.roles)
        hosted.losses = tuple(name for name in hosted.settings.losses if name in roles)
        cache.forget()
        if found.applied:
            self._runner.preflight(inputs, found, weights)
            cache.specs[inputs.structure] = found
        hosted.frozen.resolve(weights, title=hosted.title)
        self._track(weights)
        hosted.weights, hosted.build_spec = weights, build_spec
        hosted.frozen.apply(weights, trainable=self._layer.trainable)
        cache.take(replace(inputs, given=hosted.settings.given_form))
        if cache.settled:
            hosted.settings = replace(hosted.settings, variables=None)  # B4: not held twice

    def form_of_given(self) -> Variables | None:
        """Returns the form of the variables that were given, None where none were (B4)."""
        hosted = self._hosted
        given = hosted.settings.variables
        if given is None:
            return hosted.settings.given_form
        stored = hosted.flax_module.stored_variables(given)
        form: Variables = as_form(as_arrays(stored, title=hosted.title))
        return form

    def _track(self, weights: FlaxWeights) -> None:
        known = self._hosted.weights
        if known is None or known.variables is not weights.variables:
            old = () if known is None else known.variables
            with private_keras.retracking(self._layer, old):
                # Keras tracks such lists.
                self._layer._module_variables = list(weights.variables)
                paths = map(format_path, weights.layout.paths)
                self._layer._variables_by_path = self._runner.backend.checkpointed(
                    dict(zip(paths, weights.variables, strict=True))
                )
