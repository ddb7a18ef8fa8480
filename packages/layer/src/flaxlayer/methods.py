"""`FlaxMethod`: another method of a module as a second Keras layer on the same weights (A3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from flaxlayer.calls.module_layer import ModuleLayer
from flaxlayer.calls.runner import Runner
from flaxlayer.calls.symbolic_calls import summary_shapes
from flaxlayer.compat import private_keras
from flaxlayer.inputs import BuildInputs
from flaxlayer.saving.carried_parts import bring, carry
from flaxlayer.saving.fields import check_fields, check_known, check_mapping, refuse
from flaxlayer.saving.layer_config import BASE_KEYS, decode_base, decode_method, encode_method
from flaxlayer.saving.names import find_known
from flaxlayer.saving.refusals import refusing
from flaxlayer.saving.sharing import new_token, revive_shared
from flaxlayer.saving.weights_files import open_weights
from flaxlayer.summaries.summary_methods import SummaryMethods
from flaxlayer.typing import Json, KerasStore, PyTree, Shape
from flaxlayer_core import AUTO_MASK, AcceptModuleError, MethodSignature, shorten

__all__ = ["FlaxMethod"]

_KEYS = (*BASE_KEYS, "layer", "method", "training_arg", "mask_arg")


class _MethodBuilder:
    """Builds a method's layer: nothing is created, as the variables are those of the other."""

    def __init__(self, runner: Runner, layer: ModuleLayer) -> None:
        self._runner, self._layer = runner, layer

    def build_for(self, inputs: BuildInputs) -> None:
        runner, hosted = self._runner, self._runner.hosted
        if hosted.weights is None and hosted.settings.init_method is not None:
            self._layer._builder.build_for(inputs)
        hosted.require_built("weights for its methods")
        runner.cache.forget()
        if hosted.spec.traceable:
            found = runner.latest_spec(inputs.structure, inputs.specs)
            runner.preflight(inputs, found, hosted.built_weights)
        runner.cache.take(inputs)
        runner.layer.build()
        private_keras.keep_build_shape(runner.layer, inputs.without_values())


@keras.saving.register_keras_serializable(package="flaxlayer")
class FlaxMethod(SummaryMethods, ModuleLayer):
    """Calls another method of a `FlaxLayer`'s module; `FlaxLayer.method` makes it.

    Args:
        layer: The layer that holds the weights and the settings. It has to be built before, or is
            built by this layer's first call through its `init_method`.
        method: A name, a bound or unbound method, or a function of the module.
        training_arg: As for `FlaxLayer`.
        mask_arg: As for `FlaxLayer`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Raises:
        AcceptModuleError: If `layer` is no layer of this package.
        InspectMethodError: If the module has no such public method.
    """

    def __init__(
        self,
        layer: ModuleLayer,
        method: Any,
        *,
        training_arg: str | None = None,
        mask_arg: str | None = AUTO_MASK,
        **kwargs: PyTree,
    ) -> None:
        if not isinstance(layer, ModuleLayer):
            raise AcceptModuleError(
                f"FlaxMethod cannot take {shorten(layer)} as its layer.",
                expected="a FlaxLayer, which holds the module and its weights",
                found=type(layer).__name__,
                fix="Call FlaxLayer(module).method('name').",
                law="A3",
            )
        hosted = layer._hosted
        signature = MethodSignature.from_method(
            hosted.flax_module.facts,
            method,
            training_arg=training_arg,
            rng_args=hosted.settings.rng_args,
            mask_arg=mask_arg,
        )
        super().__init__(**kwargs)
        # Configurations tell that another layer uses these weights (S4).
        hosted.sharing_token = hosted.sharing_token or new_token()
        self.layer = layer
        self._runner_class = layer._runner_class
        self._host(hosted, signature)
        self._build_with(_MethodBuilder(self._runner, layer))
        self._training_arg, self._mask_arg = training_arg, mask_arg

    def build(self, input_shape: Shape = None) -> None:
        """Has nothing to create: the weights are those of `layer`."""

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Returns the shapes of the outputs for a shape of the input, as Keras finds them."""
        if isinstance(input_shape, BuildInputs):  # from model.summary()
            return summary_shapes(self._runner, input_shape)
        return super().compute_output_shape(input_shape)

    def get_config(self) -> dict[str, PyTree]:
        """Returns the configuration: the layer that holds the weights, and the method."""
        method = self._runner.method.method
        return {
            **super().get_config(),
            "layer": _layer_config(self.layer),
            "method": carry(
                self,
                "method",
                method,
                lambda: encode_method(method, method, path="method"),
            ),
            "training_arg": self._training_arg,
            "mask_arg": self._mask_arg,
        }

    @classmethod
    def from_config(cls, config: dict[str, Json]) -> FlaxMethod:
        """Makes the layer from `get_config`; layers that shared weights share them again (S4).

        Raises:
            DecodeModuleError: If the configuration is refused; nothing is imported or executed.
        """
        with refusing("the layer"):
            known = check_fields(config)
            check_known(known, _KEYS, cls, FlaxMethod)
            known = decode_base(known)
            stored = check_mapping(known.pop("layer", None), "layer")
            method = bring(
                known.pop("method", None),
                "method",
                lambda stored: decode_method(stored, path="method"),
            )
            token = check_fields(stored.get("config")).get("sharing")
            layer = revive_shared(token, lambda: _revive_layer(stored))
            return cls(layer, method, **known)

    def load_own_variables(self, store: KerasStore) -> None:
        """Reads what a subclass added (W5); the weights of the module are those of `layer`.

        Raises:
            MatchWeightsFileError: If the file does not hold exactly these; nothing is changed then.
        """
        own: dict[str, keras.Variable] = {}
        super().save_own_variables(own)
        file = open_weights(store, title=f"Layer {self.name!r}")
        file.assign_to(own, file.keys)

    def get_build_config(self) -> None:
        """Returns nothing: the first call builds it."""
        return


def _layer_config(layer: ModuleLayer) -> dict[str, PyTree]:
    name = keras.saving.get_registered_name(type(layer))
    build = layer.get_build_config()
    return {"registered_name": name, "config": layer.get_config(), "build_config": build}


def _revive_layer(stored: Mapping[str, Json]) -> ModuleLayer:
    cls = find_known(stored.get("registered_name"))
    if not (isinstance(cls, type) and issubclass(cls, ModuleLayer)) or issubclass(cls, FlaxMethod):
        raise refuse("layer", expected="a FlaxLayer", found=stored.get("registered_name"))
    layer: ModuleLayer = cls.from_config({**stored["config"], "sharing": None})
    build = stored.get("build_config")
    if build is not None:
        layer.build_from_config(check_mapping(build, "layer.build_config"))
    return layer
