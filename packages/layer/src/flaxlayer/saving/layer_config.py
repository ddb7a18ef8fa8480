"""The configuration of a layer as JSON and back (S1, S2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

import keras

from flaxlayer.hosted import HostedModule
from flaxlayer.saving.build_config import decode_given, encode_given
from flaxlayer.saving.carried_parts import bring, carry
from flaxlayer.saving.fields import (
    SAVE_AGAIN,
    check_fields,
    check_known,
    check_mapping,
    check_size,
    refuse,
)
from flaxlayer.saving.names import name_in_keras, resolve_name
from flaxlayer.saving.reference import is_reference_config, reference_arguments
from flaxlayer.saving.refusals import refusing
from flaxlayer.saving.sharing import revive_shared
from flaxlayer.settings import PLAIN_SETTINGS
from flaxlayer.typing import Json, Variables
from flaxlayer_core import (
    CollectionPolicy,
    EncodeModuleError,
    InspectMethodError,
    MethodSignature,
    decode_module,
    decode_value,
    encode_module,
    encode_value,
    shorten,
)

__all__ = [
    "BASE_KEYS",
    "StoredSettings",
    "decode_base",
    "decode_method",
    "encode_layer",
    "encode_method",
    "layer_from_config",
]

Layer = TypeVar("Layer", bound=keras.layers.Layer)

_POLICY = ("trainable", "state", "transient")
_LONGEST_NAME = 256
BASE_KEYS = ("name", "trainable", "dtype", "activity_regularizer")
_KEYS = (
    *BASE_KEYS,
    *PLAIN_SETTINGS,
    *("module", "method", "init_method", "collections", "given", "frozen"),
    *("explicit_dtype", "sharing"),
)


def encode_method(method: Any, resolved: Any, *, path: str) -> Json:
    """Returns a method as JSON: its name, or a registered function.

    Args:
        method: What the user gave.
        resolved: A name, or a function of the module.
        path: Where it stands, for an error.

    Returns:
        None, a string, or the encoded function.

    Raises:
        EncodeModuleError: If it is private, or a function that cannot be stored.
    """
    if method is None:
        return None
    if not isinstance(resolved, str):
        return encode_value(resolved, path=path, namer=name_in_keras, resolve=resolve_name)
    if _is_private(resolved):
        raise EncodeModuleError(
            f"Cannot store {path}.",
            expected="a public method: no file may name another (S2)",
            found=repr(resolved),
            fix="Give the method a public name, or call it in a public method or a function.",
            law="S2",
        )
    return resolved


def _is_private(name: str) -> bool:
    return name.startswith("_") and name != "__call__"


def decode_method(config: Json, *, path: str) -> Json:
    """Returns what `encode_method` stored; the layer checks that a name is a public method."""
    if isinstance(config, str) and (_is_private(config) or len(config) > _LONGEST_NAME):
        raise InspectMethodError(
            "The stored configuration of a layer names no such public method.",
            expected=f"a name without an underscore in front, of {_LONGEST_NAME} letters at most",
            found=shorten(config),
            fix=SAVE_AGAIN,
            law="S2",
        )
    if config is None or isinstance(config, str):
        return config
    method = decode_value(config, path=path, resolve=resolve_name)
    if callable(method) and not isinstance(method, type):
        return method
    raise refuse(path, expected="the name of a method, or a function", found=config)


@dataclass(frozen=True)
class StoredSettings:
    """What a stored configuration says of a layer beside the arguments that it is made with.

    Attributes:
        has_own_dtype: Whether `dtype=` was given.
        given_form: The form of the variables that were given, None where none were.
        frozen: Patterns of what is frozen, and of what no longer is.
    """

    has_own_dtype: bool
    given_form: Variables | None
    frozen: Sequence[Json]


def encode_layer(
    layer: keras.layers.Layer, hosted: HostedModule, given_form: Variables | None
) -> dict[str, Json]:
    """Returns what a `FlaxLayer` adds to the configuration of a Keras layer.

    Args:
        layer: The layer.
        hosted: What it hosts.
        given_form: The form of the variables that were given, None where none were.
    """
    settings, origin = hosted.settings, hosted.flax_module.facts.origin
    return {
        "module": carry(
            layer,
            "module",
            origin,
            lambda: encode_module(origin, namer=name_in_keras, resolve=resolve_name),
        ),
        "method": _carried_method(layer, "method", settings.method, hosted.method),
        "init_method": _carried_method(
            layer, "init_method", settings.init_method, hosted.init_method
        ),
        **{name: _plain(getattr(settings, name)) for name in PLAIN_SETTINGS},
        "collections": {name: list(v) for name, v in asdict(settings.collections).items()},
        **({} if given_form is None else {"given": encode_given(given_form)}),
        "frozen": hosted.frozen.to_config(),
        "explicit_dtype": hosted.has_own_dtype,
        "sharing": hosted.sharing_token,
    }


def _carried_method(
    layer: keras.layers.Layer, part: str, given: Any, signature: MethodSignature
) -> Json:
    resolved = signature.method
    return carry(layer, part, resolved, lambda: encode_method(given, resolved, path=part))


def _plain(value: object) -> Json:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def layer_from_config(
    config: Mapping[str, Json],
    make: Callable[[dict[str, Json], StoredSettings], Layer],
    cls: type[Layer],
    base: type[Layer],
) -> Layer:
    """Makes a layer from its configuration, or from that of `keras.layers.FlaxLayer`.

    Args:
        config: The configuration.
        make: Makes the layer of its arguments and of what else is stored.
        cls: The class of the layer.
        base: `FlaxLayer`, of which it may be a subclass.

    Raises:
        DecodeModuleError: If the configuration is refused.
    """
    with refusing("the layer"):
        known = check_fields(config)
        check_known(known, _KEYS, cls, base)
        token = known.pop("sharing", None)
        return revive_shared(token, lambda: make(*_decode_layer(known)))


def _decode_layer(config: Mapping[str, Json]) -> tuple[dict[str, Json], StoredSettings]:
    known = decode_base(config)
    frozen, explicit = known.pop("frozen", ()), known.pop("explicit_dtype", False)
    given = known.pop("given", None)
    if is_reference_config(known):
        known |= reference_arguments(known)
    else:
        known["module"] = bring(
            known.get("module", {}),
            "module",
            lambda stored: decode_module(stored, resolve=resolve_name),
        )
        for name in ("method", "init_method"):
            decode = partial(decode_method, path=name)
            known[name] = bring(known.get(name), name, decode)
        known["collections"] = _decode_policy(known.get("collections"))
    form = None if given is None else decode_given(given)
    return known, StoredSettings(explicit, form, frozen)


def _decode_policy(config: Json) -> CollectionPolicy | None:
    if config is None:
        return None
    policy = check_mapping(config, "collections")
    if set(policy) != set(_POLICY):
        raise refuse("collections", expected=f"lists of names for {_POLICY}", found=config)
    names = check_fields({f"collections.{name}": policy[name] for name in _POLICY})
    return CollectionPolicy(**{name: tuple(names[f"collections.{name}"]) for name in _POLICY})


def decode_base(config: Mapping[str, Json]) -> dict[str, Json]:
    """Returns a configuration with the objects decoded that every Keras layer may have (S2).

    Raises:
        DecodeModuleError: If one of them is of another kind.
    """
    known = dict(config)
    known["dtype"] = _decode_object(known.get("dtype"), "dtype", keras.DTypePolicy)
    if known.get("activity_regularizer") is not None:
        known["activity_regularizer"] = _decode_regularizer(known["activity_regularizer"])
    return known


def _decode_regularizer(config: Json) -> Json:
    if isinstance(config, str):  # Keras would make anything that is registered under the name
        config = {"class_name": config, "registered_name": config, "config": {}}
    return _decode_object(config, "activity_regularizer", keras.Regularizer)


def _decode_object(config: Json, path: str, base: type) -> Json:
    # Keras itself would make any object that the configuration names.
    if config is None or isinstance(config, base):
        return config
    if isinstance(config, str) and len(config) <= _LONGEST_NAME:
        return config
    stored = check_mapping(config, path)
    cls = _known_class(stored)
    inner = stored.get("config")
    if not (isinstance(cls, type) and issubclass(cls, base) and isinstance(inner, Mapping)):
        raise refuse(path, expected=f"a stored {base.__name__}", found=config)
    check_size(inner, path)
    try:
        return cls.from_config(dict(inner))  # type: ignore[attr-defined]
    except Exception as error:  # in any way: it is Keras's or the user's code
        raise refuse(path, expected=f"a stored {base.__name__}", found=config) from error


def _known_class(stored: Mapping[str, Json]) -> object | None:
    name, registered = stored.get("class_name"), stored.get("registered_name")
    if isinstance(registered, str) and (found := resolve_name(registered)) is not None:
        return found
    stock = {"DTypePolicy": keras.DTypePolicy, **vars(keras.regularizers)}
    return stock.get(name) if isinstance(name, str) else None
