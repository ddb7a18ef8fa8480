"""`FlaxLayer`: any Flax module as a Keras layer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import keras

from flaxlayer.access import VariableAccess
from flaxlayer.backends import current_backend
from flaxlayer.building import LayerBuilder
from flaxlayer.calls.module_layer import ModuleLayer
from flaxlayer.handed_names import nothing_handed, remember_handed
from flaxlayer.hosted import HostedModule
from flaxlayer.layer_files import LayerFiles
from flaxlayer.methods import FlaxMethod
from flaxlayer.misplaced_keras import refuse_keras
from flaxlayer.saving.assignments import collections_of
from flaxlayer.saving.build_config import decode_inputs, encode_inputs
from flaxlayer.saving.fields import check_mapping
from flaxlayer.saving.layer_config import StoredSettings, encode_layer, layer_from_config
from flaxlayer.saving.refusals import refusing, refusing_in_load
from flaxlayer.settings import Settings, documented
from flaxlayer.summaries.summary_methods import SummaryMethods
from flaxlayer.typing import Array, Function, Json, KerasStore, PyTree, Shape, Variables
from flaxlayer.weights.variables import restoring_values
from flaxlayer_core import (
    AUTO_MASK,
    FlaxModule,
    ModuleSpec,
    flatten_with_paths,
    format_path,
    init_rngs,
    is_form,
    normalize_variables,
    refuse_given,
    wrap_module,
)

__all__ = ["FlaxLayer"]


@keras.saving.register_keras_serializable(package="flaxlayer")
@documented
class FlaxLayer(VariableAccess, SummaryMethods, ModuleLayer):
    """Runs a module of `flax.linen` or `flax.nnx` as a Keras layer.

    It takes the place of `keras.layers.FlaxLayer`: `module`, `method` and `variables` mean the
    same, `params` are trainable, every other collection that keeps its form is non-trainable
    state, random keys come by themselves, and models with it save, load and export. Beyond that
    arguments reach the method unchanged, whatever they are, and the training flag reaches
    `training`, `train`, `is_training`, and negated `deterministic`, `eval` and
    `use_running_average`, in a module of nnx its attributes too.

    A module of nnx is never changed. One that exists keeps its values; what makes one is called at
    build with `rngs=nnx.Rngs(**layer.init_rngs())`. Types of variables are collections, by Flax's
    names for them. Random streams are reseeded for each call, as
    `nnx.reseed(module, policy="match_shape", **layer.peek_rngs(training=...))` does it.

    Args:
        module: An unbound instance of `flax.linen.Module`; an instance of `flax.nnx.Module`; or
            what makes one: a function, a method, a class, or a `functools.partial` of these. It is
            called when the layer is made; one of nnx that takes `rngs` at build. A file holds its
            name and its arguments, so that a module with fields that no file can hold is saved all
            the same. An nnx object is saved if its class has a `get_config()` that returns the
            keyword arguments of its constructor.
        method: The method to call: a name, a bound or an unbound method, or a function whose
            first argument is the module. Defaults to `__call__`.
        variables: Initial values, as `Module.init` returns them, a `TrainState`, or a module of
            nnx that holds them; collections and leaves that are missing are initialised. Shapes and
            dtypes stand as they are given: integers and bools in `params` are stored, and never
            trained.
        {settings}
        **kwargs: Keyword arguments of `keras.layers.Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        AcceptModuleError: If `module` is none of these.
        InspectMethodError: If it has no such public method.
        CallArgumentError: If the method has no argument `training_arg` or `mask_arg`.
        MatchVariablesError: If `variables` is not a tree of collections.
        DrawKeysError: If `seed` is out of range.
        SelectBackendError: If Keras runs on a backend that is not supported.

    Example:

    ```python
    >>> import flax.linen as nn, jax.numpy as jnp
    >>> from flaxlayer import FlaxLayer
    >>> layer = FlaxLayer(nn.Dense(2), name="dense")
    >>> layer(jnp.ones((1, 3))).shape
    (1, 2)
    >>> [variable.path for variable in layer.weights]
    ['dense/params/bias', 'dense/params/kernel']

    ```
    """

    _builder: LayerBuilder
    # Other classes in their places change what a layer does, as `conformance.faults` does.
    _hosted_class: type[HostedModule] = HostedModule
    _builder_class: type[LayerBuilder] = LayerBuilder

    def __init__(
        self,
        module: Any,
        method: str | Function | None = None,
        variables: Variables | None = None,
        **kwargs: PyTree,
    ) -> None:
        current_backend()
        refuse_keras(module)
        flax_module = wrap_module(module)
        given = None if variables is None else _with_values(variables)
        settings = Settings.take(kwargs, method=method, variables=given)
        method_signature, init_signature = settings.method_signatures(flax_module)
        super().__init__(**kwargs)
        remember_handed(module, method, settings.init_method)
        # Drawn as Keras draws it, so that keras.utils.set_random_seed governs it (R3).
        seed = random.randint(1, int(1e9)) if settings.seed is None else settings.seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        hosted = self._hosted_class(
            self,
            flax_module,
            settings,
            method_signature,
            init_signature,
            seed,
            self.seed_generator,
            has_own_dtype=kwargs.get("dtype") is not None,
        )
        self._host(hosted, method_signature)
        own_build = type(self).build is not FlaxLayer.build
        builder = self._builder_class(self._runner, overridden=own_build)
        self._build_with(builder)
        self._files = LayerFiles(self._runner, builder)

    # The module and its settings.

    @property
    def module(self) -> Any:
        """The Flax module, as it was given."""
        return self._hosted.flax_module.facts.module

    @property
    def flax_module(self) -> FlaxModule:
        """The module behind core's protocol."""
        return self._hosted.flax_module

    @property
    def platforms(self) -> tuple[str, ...]:
        """What TensorFlow runs the module on (K2)."""
        return self._hosted.settings.platforms

    @property
    def discovery(self) -> ModuleSpec:
        """What abstract evaluation found at build."""
        return self._hosted.spec

    @property
    def trainable(self) -> bool:
        """Whether the layer may change at all (C5); single weights freeze by `freeze`."""
        return bool(keras.layers.Layer.trainable.fget(self))

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.layers.Layer.trainable.fset(self, value)
        # Keras sets every variable, in its own constructor too; what was frozen by path stays so.
        hosted: HostedModule | None = getattr(self, "_hosted", None)
        if hosted is not None and hosted.weights is not None:
            hosted.frozen.apply(hosted.weights, trainable=bool(value))

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Takes values in the order of `weights`, all of them or none."""
        with restoring_values(self.weights):
            super().set_weights(weights)

    # Build.

    @refusing_in_load
    def build(self, input_shape: Shape = None) -> None:
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
        self._builder.build(input_shape)

    @refusing_in_load
    def compute_output_shape(self, input_shape: Shape) -> Any:
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
        return self._builder.output_shape(input_shape)

    # Randomness.

    def init_rngs(self) -> dict[str, jax.Array]:
        """Returns the keys that init used, so that raw `Module.init` can be run beside it (B2).

        Raises:
            BuildModuleError: If the layer is not built.
        """
        return init_rngs(self._hosted.seed, self._hosted.spec.init_streams)

    # Methods.

    def method(
        self,
        method: Any,
        *,
        training_arg: str | None = None,
        mask_arg: str | None = AUTO_MASK,
        **kwargs: PyTree,
    ) -> Any:
        """Returns a second Keras layer that calls another method on the same weights (A3).

        Args:
            method: A name, a bound or unbound method, or a function of the module.
            training_arg: As for `FlaxLayer`.
            mask_arg: As for `FlaxLayer`.
            **kwargs: Keyword arguments of `keras.layers.Layer`.

        Returns:
            A `FlaxMethod` layer.

        Raises:
            InspectMethodError: If the module has no such public method.

        Example:

        ```python
        >>> import flax.linen as nn, jax.numpy as jnp
        >>> from flaxlayer import FlaxLayer
        >>> embed = FlaxLayer(nn.Embed(5, 2))
        >>> attend = embed.method("attend")
        >>> attend(embed(jnp.array([1, 2]))).shape
        (2, 5)

        ```
        """
        return FlaxMethod(self, method, training_arg=training_arg, mask_arg=mask_arg, **kwargs)

    # Saving.

    def get_config(self) -> dict[str, PyTree]:
        """Returns the configuration: the module's class and fields, and the settings (S1).

        Raises:
            EncodeModuleError: If a field of the module cannot be stored; it names the field.
        """
        return {
            **super().get_config(),
            **encode_layer(self, self._hosted, self._builder.form_of_given()),
        }

    @classmethod
    def from_config(cls, config: dict[str, Json]) -> FlaxLayer:
        """Makes a layer from `get_config`, or from the configuration of `keras.layers.FlaxLayer`.

        Raises:
            DecodeModuleError: If the configuration is refused; nothing is imported or executed.
        """
        return layer_from_config(config, cls._make_stored, cls, FlaxLayer)

    @classmethod
    def _make_stored(cls, arguments: dict[str, Any], stored: StoredSettings) -> FlaxLayer:
        with nothing_handed():
            layer = cls(**arguments)
        hosted = layer._hosted
        hosted.has_own_dtype, hosted.from_file = stored.has_own_dtype, True
        if stored.given_form is not None:
            hosted.settings = replace(hosted.settings, given_form=stored.given_form)
        hosted.frozen.wait_for(stored.frozen)
        return layer

    def get_build_config(self) -> dict[str, PyTree] | None:
        """Returns the inputs that the layer was built with: structure, shapes, dtypes."""
        return encode_inputs(self._runner.cache.inputs)

    def build_from_config(self, config: dict[str, Json]) -> None:
        """Builds the layer from `get_build_config`, or from Keras's own `input_shape`."""
        if not config:
            return
        with refusing(f"the build of layer {self.name!r}"), self._builder.restored():
            stored = check_mapping(config, "build_config")
            if "arguments" in stored:
                self._builder.build_for(decode_inputs(stored))
            else:
                super().build_from_config(stored)

    def save_own_variables(self, store: KerasStore) -> None:
        """Writes the variables by path, and which inputs they were built for (W3, W4)."""
        self._files.write(store)

    def load_own_variables(self, store: KerasStore) -> None:
        """Reads the variables by path; files of `keras.layers.FlaxLayer` by their order (W3).

        A layer that is not built is built for the inputs that the file names (W4).

        Raises:
            MatchWeightsFileError: If the file does not hold exactly these variables; nothing is
                changed then.
            DecodeModuleError: If what the file says of the inputs is refused.
            BuildModuleError: If the module cannot be built for them.
        """
        self._files.read(store)


def _with_values(variables: Variables) -> dict[str, PyTree]:
    given = normalize_variables(collections_of(variables), title="FlaxLayer(variables=...)")
    absent = [format_path(path) for path, leaf in flatten_with_paths(given)[0] if is_form(leaf)]
    if absent:
        raise refuse_given(
            "FlaxLayer",
            expected=["arrays, which have values"],
            found=[f"{path}: a ShapeDtypeStruct" for path in absent],
            fix="Give the result of `Module.init` itself, not of `jax.eval_shape`.",
        )
    return given
