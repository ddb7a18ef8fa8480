"""`FlaxMethod`: another method of a module as a second Keras layer on the same weights (A3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keras

from flaxlayer.calls.module_layer import ModuleLayer
from flaxlayer.inputs import BuildInputs
from flaxlayer.saving import layer_config as configuring
from flaxlayer.saving.carried_parts import bring, carry
from flaxlayer.saving.fields import check_fields, check_known, check_mapping, refuse
from flaxlayer.saving.names import find_known
from flaxlayer.saving.refusals import refusing
from flaxlayer.saving.sharing import revive_shared
from flaxlayer.saving.weights_files import open_weights
from flaxlayer.weights.variables import FlaxWeights
from flaxlayer_core import AUTO_MASK, ArgumentStructure, MethodSignature, ModuleCall

if TYPE_CHECKING:
    from flaxlayer.layer import FlaxLayer

__all__ = ["FlaxMethod"]

_KEYS = (*configuring.BASE_KEYS, "layer", "method", "training_arg", "mask_arg")


@keras.saving.register_keras_serializable(package="flaxlayer")
class FlaxMethod(ModuleLayer):
    """Calls another method of a `FlaxLayer`'s module; `FlaxLayer.method` makes it.

    Args:
        layer: The layer that holds the weights and the settings. It has to be built before, or is
            built by this layer's first call through its `init_method`.
        method: A name, a bound or unbound method, or a function of the module.
        training_arg: As for `FlaxLayer`.
        mask_arg: As for `FlaxLayer`.
        **kwargs: Keyword arguments of `keras.layers.Layer`.

    Raises:
        InspectMethodError: If the module has no such public method.
    """

    def __init__(
        self,
        layer: FlaxLayer,
        method: Any,
        *,
        training_arg: str | None = None,
        mask_arg: str | None = AUTO_MASK,
        **kwargs: Any,
    ) -> None:
        call = MethodSignature.from_method(
            layer.flax_module,
            method,
            training_arg=training_arg,
            rng_args=layer._settings.rng_args,
            mask_arg=mask_arg,
        )
        super().__init__(**kwargs)
        layer.share()
        self.layer = layer
        self._method_call = call
        self._training_arg, self._mask_arg = training_arg, mask_arg
        self._announce_mask()

    def _source(self) -> FlaxLayer:
        return self.layer

    @property
    def _flax_weights(self) -> FlaxWeights:
        return self.layer._flax_weights

    @property
    def _compute_cast(self) -> str | None:
        return self.layer._compute_cast

    def _probe(self, structure: ArgumentStructure) -> ModuleCall:
        own = self.layer._probe(structure)
        return replace(own, call=self._method_call, given=None, label=f"Layer {self.name!r}")

    def build(self, input_shape: Any = None) -> None:
        """Has nothing to create: the weights are those of `layer`."""

    def _build_for(self, inputs: BuildInputs) -> None:
        if self.layer._weights_by_path is None and self.layer._settings.init_method is not None:
            self.layer._build_for(inputs)
        self.layer.require_built("weights for its methods")
        self._call_state.forget()
        if self._source().discovery.traceable:
            found = self._discovery_for(inputs.structure, inputs.specs)
            self._preflight(inputs, found, self._flax_weights)
        self._call_state.take(inputs)
        self.build()

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration: the layer that holds the weights, and the method."""
        method = self._method_call.method
        return {
            **super().get_config(),
            "layer": _layer_config(self.layer),
            "method": carry(
                self,
                "method",
                lambda: configuring.encode_method(method, method, path="method"),
            ),
            "training_arg": self._training_arg,
            "mask_arg": self._mask_arg,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FlaxMethod:
        """Makes the layer from `get_config`; layers that shared weights share them again (S4).

        Raises:
            DecodeModuleError: If the configuration is refused; nothing is imported or executed.
        """
        with refusing("the layer"):
            known = check_fields(config)
            check_known(known, _KEYS, cls, FlaxMethod)
            known = configuring.decode_base(known)
            stored = check_mapping(known.pop("layer", None), "layer")
            method = bring(
                known.pop("method", None),
                "method",
                lambda stored: configuring.decode_method(stored, path="method"),
            )
            token = check_fields(stored.get("config")).get("sharing")
            layer = revive_shared(token, lambda: _revive_layer(stored))
            return cls(layer, method, **known)

    def load_own_variables(self, store: Any) -> None:
        """Reads what a subclass added (W5); the weights of the module are those of `layer`.

        Raises:
            MatchWeightsFileError: If the file does not hold exactly these; nothing is changed then.
        """
        own: dict[str, keras.Variable] = {}
        super().save_own_variables(own)
        file = open_weights(store, where=f"Layer {self.name!r}")
        file.assign_to(own, file.keys)

    def get_build_config(self) -> None:
        """Returns nothing: the first call builds it."""
        return


def _layer_config(layer: FlaxLayer) -> dict[str, Any]:
    name = keras.saving.get_registered_name(type(layer))
    build = layer.get_build_config()
    return {"registered_name": name, "config": layer.get_config(), "build_config": build}


def _revive_layer(stored: Mapping[str, Any]) -> FlaxLayer:
    cls = find_known(stored.get("registered_name"))
    if not (isinstance(cls, type) and issubclass(cls, ModuleLayer) and hasattr(cls, "share")):
        raise refuse("layer", expected="a FlaxLayer", found=stored.get("registered_name"))
    layer: FlaxLayer = cls.from_config({**stored["config"], "sharing": None})
    build = stored.get("build_config")
    if build is not None:
        layer.build_from_config(check_mapping(build, "layer.build_config"))
    return layer
