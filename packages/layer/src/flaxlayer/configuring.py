"""The configuration of a layer as JSON and back (S1, S2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import keras
from flaxlayer_core import CollectionPolicy, DecodeModuleError
from flaxlayer_core.config import decode_module, decode_value, encode_module, encode_value

from flaxlayer.resolving import resolve_name

if TYPE_CHECKING:
    from flaxlayer.layer import FlaxLayer

__all__ = ["decode_method", "encode_method", "layer_config", "layer_from_config"]

_PLAIN = ("rngs", "training_arg", "state_updates", "return_sown", "losses", "seed")


def encode_method(method: Any, resolved: Any, *, path: str) -> Any:
    """Returns a method as JSON: its name, or a registered function.

    Args:
        method: What the user gave.
        resolved: A name, or a function of the module.
        path: Where it stands, for an error.

    Returns:
        None, a string, or the encoded function.
    """
    if method is None or isinstance(resolved, str):
        return None if method is None else resolved
    return encode_value(resolved, path=path)


def decode_method(config: Any, *, path: str) -> Any:
    """Returns what `encode_method` stored; the layer checks that a name is a public method."""
    if config is None or isinstance(config, str):
        return config
    return decode_value(config, path=path, resolve=resolve_name)


def layer_config(layer: FlaxLayer) -> dict[str, Any]:
    """Returns what a `FlaxLayer` adds to the configuration of a Keras layer."""
    settings = layer._settings
    init_method = settings.init_method
    policy = settings.collections
    return {
        "module": encode_module(layer.module),
        "method": encode_method(settings.method, layer._method_call.method, path="method"),
        "init_method": encode_method(init_method, layer._init_call.method, path="init_method"),
        **{name: _plain(getattr(settings, name)) for name in _PLAIN},
        "collections": {name: list(value) for name, value in asdict(policy).items()},
        "frozen": layer._frozen.to_config(),
        "explicit_dtype": layer._explicit_dtype,
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def layer_from_config(cls: type[FlaxLayer], config: Mapping[str, Any]) -> FlaxLayer:
    """Makes a layer from its configuration, or from that of `keras.layers.FlaxLayer`."""
    if isinstance(config.get("module"), Mapping) and "class_name" in config["module"]:
        return _from_reference(cls, config)
    known = dict(config)
    frozen = known.pop("frozen", [])
    explicit = known.pop("explicit_dtype", False)
    module = decode_module(known.pop("module"), resolve=resolve_name)
    for name in ("method", "init_method"):
        known[name] = decode_method(known.get(name), path=name)
    known["collections"] = _decode_policy(known.get("collections"))
    known["dtype"] = _decode_dtype(known.get("dtype"))
    layer = cls(module, **known)
    layer._explicit_dtype = bool(explicit)
    layer._revived = True
    layer.freeze(*frozen)
    return layer


def _decode_policy(config: Any) -> CollectionPolicy | None:
    if config is None:
        return None
    fields = ("trainable", "state", "transient")
    if not isinstance(config, Mapping) or set(config) != set(fields):
        raise DecodeModuleError(
            "The stored collection policy of a FlaxLayer is refused.",
            expected=f"lists of names for {', '.join(fields)}",
            found=repr(config)[:200],
            fix="Save the model again with FlaxLayer.",
            law="S2",
        )
    return CollectionPolicy(**{name: tuple(map(str, config[name])) for name in fields})


def _decode_dtype(config: Any) -> Any:
    return keras.dtype_policies.deserialize(config) if isinstance(config, Mapping) else config


def _from_reference(cls: type[FlaxLayer], config: Mapping[str, Any]) -> FlaxLayer:
    known = dict(config)
    known.pop("native_serialization_platforms", None)
    # The reference stores the user's own get_config; Keras resolves its class by registration.
    module = keras.saving.deserialize_keras_object(known.pop("module"))
    method = known.pop("method", None)
    if isinstance(method, Mapping):
        method = keras.saving.deserialize_keras_object(method)
    known["dtype"] = _decode_dtype(known.get("dtype"))
    layer = cls(module, method=method, **known)
    layer._explicit_dtype = False
    layer._revived = True
    return layer
