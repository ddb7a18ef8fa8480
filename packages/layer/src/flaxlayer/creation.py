"""How a layer gets its variables: from inputs, from shapes alone, or from a file (B1, W4, A10)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from flaxlayer.access import WeightAccess
from flaxlayer.calls.overridden_methods import first_shape, reshaped
from flaxlayer.calls.sequential_inputs import open_inputs
from flaxlayer.calls.supposed_dtypes import first_that_runs
from flaxlayer.compat import private_keras as compat
from flaxlayer.inputs import BuildInputs, arguments_from_shapes, array_specs, keras_tensor
from flaxlayer.locks import LayerLocks
from flaxlayer.memory import current_account, size_bound
from flaxlayer.saving import build_config as storing
from flaxlayer.saving import weights_files
from flaxlayer.saving.fields import check_mapping
from flaxlayer.saving.refusals import refusing, refusing_in_load
from flaxlayer.saving.weights_files import StoredWeights
from flaxlayer.weights.initial import InitialValues
from flaxlayer.weights.sharding import current_distribution, shardings_of, variable_layouts
from flaxlayer.weights.variables import FlaxWeights, create_weights
from flaxlayer_core import (
    BuildSpec,
    VariableLayout,
    as_arrays,
    as_form,
    count_bytes,
    forget_trace,
    infer_build_spec,
    initial_variables,
    partition,
)

__all__ = ["WeightCreation"]


@dataclass(frozen=True)
class _PendingBuild:
    """What a build is for; Keras and subclasses hand `build` nothing but its shapes."""

    inputs: BuildInputs
    file: StoredWeights | None


class WeightCreation(WeightAccess):
    """What a `FlaxLayer` does at build, and with its weights in files."""

    _blueprint: BuildSpec | None
    _explicit_dtype: bool
    _revived: bool
    _seed: int
    locks: LayerLocks
    _filled_losses: tuple[str, ...]
    _pending: _PendingBuild | None = None
    _refusal: tuple[Callable[[], Any], Exception] | None = None

    @refusing_in_load
    def build(self, input_shape: Any = None) -> None:
        """Creates the weights.

        Args:
            input_shape: The shape of the only argument (None for unknown dimensions), or a
                structure of shapes. Calling the layer builds it from the inputs themselves, with
                their true dtypes; here Keras's default dtype is supposed, integers and others
                where the module does not take it, and the first call corrects that.

        Raises:
            BuildModuleError: If the module cannot be built for such inputs.
            MatchVariablesError: If given variables do not fit.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            inputs = reshaped(pending.inputs, input_shape, self._method_call)
            self._create(inputs, pending.file)
            return
        if self._weights_by_path is not None and not self._call_state.guessed:
            return
        self._call_state.open_to(open_inputs())
        supposed = self._from_shapes(input_shape)
        first_that_runs(
            supposed.specs,
            lambda dtypes: self._create(supposed.with_dtypes(dtypes)),
        )

    def _from_shapes(self, input_shape: Any) -> BuildInputs:
        arguments = arguments_from_shapes(input_shape, self._method_call)
        arrays, structure = partition(arguments, {})
        return BuildInputs(array_specs(arrays), structure, None, guessed=True)

    @refusing_in_load
    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns the shapes of the outputs for the shapes that `build` takes.

        Keras's wrappers, such as `TimeDistributed`, ask for them.

        Example:

        ```python
        >>> import flax.linen as nn
        >>> from flaxlayer import FlaxLayer
        >>> FlaxLayer(nn.Dense(2)).compute_output_shape((None, 3))
        (None, 2)

        ```
        """
        if isinstance(input_shape, BuildInputs):  # from model.summary()
            return self._output_shapes(input_shape)
        with self.locks.build:  # A8
            if self._weights_by_path is None:
                self.build(input_shape)
        supposed = self._from_shapes(input_shape)
        return first_that_runs(
            supposed.specs,
            lambda dtypes: self._output_shapes(supposed.with_dtypes(dtypes)),
        )

    def _output_shapes(self, inputs: BuildInputs) -> Any:
        tensors = list(map(keras_tensor, inputs.specs))
        form = self._output_form(tensors, inputs.structure, False)
        return form.outline.fill([spec.shape for spec in form.specs])

    def _build_for(self, inputs: BuildInputs, file: StoredWeights | None = None) -> None:
        if self._weights_by_path is not None or not self._built_by_own(inputs, file):
            with compat.scope_of(self):
                self._create(inputs, file)
        compat.keep_build_shape(self, inputs.without_values())

    def _built_by_own(self, inputs: BuildInputs, file: StoredWeights | None) -> bool:
        """Calls `build`; a subclass may build only what it added."""
        self._pending = _PendingBuild(inputs, file)
        try:
            self.build(first_shape(inputs))
        finally:
            left, self._pending = self._pending, None
        known = self._call_state.inputs
        if known is not None and type(self).build is not WeightCreation.build:
            self._call_state.take(replace(inputs, given=known.given))  # what a file builds it for
        return left is None

    def _create(self, inputs: BuildInputs, file: StoredWeights | None = None) -> None:
        with self._restored():
            self._create_all(inputs, file)

    def _create_all(self, inputs: BuildInputs, file: StoredWeights | None) -> None:
        form = self._form_of_given()
        self._settings = replace(self._settings, given_form=inputs.given if form is None else form)
        probe = self._probe(inputs.structure)
        if inputs.stored and probe.bound is None:
            probe = replace(probe, bound=size_bound(probe.title))
        bound = probe.bound
        if bound is not None:
            bound.check_described(inputs.specs)
        # A decode module may only take other inputs than those that it is built with.
        blueprint = infer_build_spec(
            probe,
            inputs.specs,
            values=inputs.values,
            applied=inputs.called,
            prepare=file is None and current_distribution() is None,
        )
        layout = blueprint.discovery.layout
        kept = self._kept(layout)
        self._take(blueprint, kept or self._make_weights(blueprint, inputs, file), inputs)
        if bound is not None and kept is None:
            current_account().taken += sum(map(count_bytes, layout.specs))

    def _kept(self, layout: VariableLayout) -> FlaxWeights | None:
        # What was supposed of the inputs was wrong, yet their weights may be the same (A10).
        known = self._weights_by_path
        if known is None or known.layout.specs != layout.specs:
            return None
        return FlaxWeights(layout, known.variables) if known.layout.roles == layout.roles else None

    def _make_weights(
        self, blueprint: BuildSpec, inputs: BuildInputs, file: StoredWeights | None
    ) -> FlaxWeights:
        title, layout = blueprint.probe.title, blueprint.discovery.layout
        if blueprint.probe.bound is not None:
            blueprint.probe.bound.check_made(layout.specs, drawn=file is None)
        layouts = variable_layouts(blueprint, prefix=self.path, where=title)
        places = shardings_of(layouts)
        initial: Callable[[], Sequence[Any]] = InitialValues(
            lambda: initial_variables(blueprint, self._seed, values=inputs.values, shardings=places)
        )
        if file is not None:
            initial = file.values(layout)
        return create_weights(
            layout,
            initial,
            variable_dtype=self.variable_dtype if self._explicit_dtype else None,
            where=title,
            layouts=layouts,
        )

    def _take(self, blueprint: BuildSpec, weights: FlaxWeights, inputs: BuildInputs) -> None:
        found = forget_trace(blueprint.discovery)
        self._flax_module = blueprint.probe.flax_module
        roles = dict(weights.layout.roles)
        self._filled_losses = tuple(name for name in self._settings.losses if name in roles)
        self._call_state.forget()
        if found.applied:
            self._preflight(inputs, found, weights)
            self._call_state.discoveries[inputs.structure] = found
        self._frozen.resolve(weights, where=f"Layer {self.name!r}")
        self._track(weights)
        self._weights_by_path, self._blueprint = weights, replace(blueprint, discovery=found)
        self._frozen.apply(weights, trainable=self.trainable)
        self._call_state.take(replace(inputs, given=self._settings.given_form))
        if not inputs.guessed:
            self._settings = replace(self._settings, variables=None)  # B4: not held twice

    def _form_of_given(self) -> Mapping[str, Any] | None:
        given = self._settings.variables
        if given is None:
            return self._settings.given_form
        stored = self._flax_module.stored_variables(given)
        form: Mapping[str, Any] = as_form(as_arrays(stored, where=f"Layer {self.name!r}"))
        return form

    def _track(self, weights: FlaxWeights) -> None:
        old = () if self._weights_by_path is None else self._weights_by_path.variables
        if self._weights_by_path is None or old is not weights.variables:
            with compat.retracking(self, old):
                self._module_variables = list(weights.variables)  # Keras tracks such lists

    # Files.

    def get_build_config(self) -> dict[str, Any] | None:
        """Returns the inputs that the layer was built with: structure, shapes, dtypes."""
        return storing.encode_inputs(self._call_state.inputs)

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds the layer from `get_build_config`, or from Keras's own `input_shape`."""
        if not config:
            return
        with refusing(f"the build of layer {self.name!r}"), self._restored():
            stored = check_mapping(config, "build_config")
            if "arguments" in stored:
                self._build_for(storing.decode_inputs(stored))
            else:
                super().build_from_config(stored)

    def save_own_variables(self, store: Any) -> None:
        """Writes the variables by path, and which inputs they were built for (W3, W4)."""
        own, inputs = self._own_variables(), self._call_state.inputs
        weights_files.write_weights(self._weights_by_path, own, inputs, store)

    def load_own_variables(self, store: Any) -> None:
        """Reads the variables by path; files of `keras.layers.FlaxLayer` by their order (W3).

        A layer that is not built is built for the inputs that the file names (W4).

        Raises:
            MatchWeightsFileError: If the file does not hold exactly these variables; nothing is
                changed then.
            DecodeModuleError: If what the file says of the inputs is refused.
            BuildModuleError: If the module cannot be built for them.
        """
        try:
            self._load(weights_files.open_weights(store, where=f"Layer {self.name!r}"))
        except Exception as error:
            compat.reopen(store)
            self._refusal = weights_files.weakly(store), error
            raise

    def _load(self, file: StoredWeights) -> None:
        # Keras looks for a layer that failed at further places, and forgets it if one is empty.
        if file.empty and self._refusal is not None and self._refusal[0]() is file.store:
            raise self._refusal[1]
        if file.inputs is not None and self._is_open_to(file.inputs):
            with self._restored():
                self._build_from(file, file.inputs)
        else:
            file.assign(self._weights_by_path, self._own_variables())
        self._refusal = None

    def _restored(self) -> contextlib.AbstractContextManager[None]:
        # S6: a load that fails, or is interrupted, leaves the layer as it was.
        return compat.restoring(self, "_call_state", "_frozen")

    def _build_from(self, file: StoredWeights, inputs: BuildInputs) -> None:
        before = self._weights_by_path
        self._build_for(inputs, file)
        weights, own = self._weights_by_path, self._own_variables()
        assert weights is not None
        kept = before is not None and before.variables is weights.variables
        if kept or type(self).build is not WeightCreation.build:
            file.assign(weights, own)
        else:  # B6: the variables have been made of what the file has
            file.assign_own(own)

    def _is_open_to(self, inputs: BuildInputs) -> bool:
        known = self._call_state.inputs
        return known is None or known.guessed

    def _own_variables(self) -> list[keras.Variable]:
        # W5: Keras numbers what the layer itself tracks, in the order that its own files have.
        tracked: dict[str, keras.Variable] = {}
        super().save_own_variables(tracked)
        weights = self._weights_by_path
        module = set() if weights is None else set(map(id, weights.variables))
        return [variable for variable in tracked.values() if id(variable) not in module]
