"""Module configuration to JSON and back: the public functions (S1, S2, S3)."""

from __future__ import annotations

__all__ = ["decode_module", "decode_value", "encode_module", "encode_value"]

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeGuard

import flax.linen as nn

from flaxlayer_core.config.equal_forms import check_remade
from flaxlayer_core.config.kinds.arrays import ARRAY_KINDS
from flaxlayer_core.config.kinds.classes import CLASS_KINDS, NAMED_CLASS
from flaxlayer_core.config.kinds.config_dicts import CONFIG_DICT_KINDS
from flaxlayer_core.config.kinds.containers import CONTAINER_KINDS
from flaxlayer_core.config.kinds.functions import FUNCTION_KINDS, NAMED_FUNCTION
from flaxlayer_core.config.kinds.leaves import LEAF_KINDS
from flaxlayer_core.config.kinds.makers import MAKER_KINDS, check_maker
from flaxlayer_core.config.kinds.objects import GIVEN_OBJECT, OBJECT_KINDS
from flaxlayer_core.config.kinds.records import RECORD_KINDS
from flaxlayer_core.config.limits import Limits, check_bounds, check_repeats
from flaxlayer_core.config.reports import cannot_store, describe, refusals, refuse, shorten
from flaxlayer_core.config.walk import Decoder, Encoder, Kind
from flaxlayer_core.config.world import Resolver
from flaxlayer_core.errors import AcceptModuleError, DecodeModuleError, EncodeModuleError
from flaxlayer_core.modules.factories import is_factory
from flaxlayer_core.modules.misplaced_values import innermost
from flaxlayer_core.modules.nnx.module_factory import ModuleFactory, to_factory
from flaxlayer_core.modules.nnx.nnx_factories import is_nnx_factory
from flaxlayer_core.typing import Leaf

_FORMAT = "flaxlayer.module"
_VERSION = 1
_LIMITS = Limits()
# The first that matches a value stores it, so what is explicitly registered goes by its name.
_KINDS: tuple[Kind, ...] = (
    GIVEN_OBJECT,
    NAMED_CLASS,
    NAMED_FUNCTION,
    *LEAF_KINDS,
    *ARRAY_KINDS,
    *CONTAINER_KINDS,
    *CONFIG_DICT_KINDS,
    *OBJECT_KINDS,
    *RECORD_KINDS,
    *CLASS_KINDS,
    *MAKER_KINDS,
    *FUNCTION_KINDS,
)
_BY_TAG: Mapping[str, Kind] = MappingProxyType({kind.tag: kind for kind in _KINDS})


def encode_module(
    module: Leaf,
    *,
    namer: Callable[[object], str | None] | None = None,
    resolve: Resolver | None = None,
    limits: Limits = _LIMITS,
) -> dict[str, Leaf]:
    """The configuration of a module as JSON (S1).

    Of a linen module these are its class and its fields, recursively; of an nnx module what makes
    it, since its class and arguments cannot be read back from it.

    A class or function whose name was free is known by it from now on. A module that stands at two
    places is stored once, and is one object again after loading.

    Args:
        module: An unbound linen module; an nnx module whose class has a `get_config()` that
            returns the keyword arguments of its constructor; or what makes a module.
        namer: Asked first for the stored name of a class or function, such as its name in Keras's
            registry.
        resolve: Asked what a name stands for, where the stored form of an object is tried out.
        limits: Bounds on what is written.

    Returns:
        A dictionary of JSON values alone. It holds no `"class_name"`, which Keras would interpret.

    Raises:
        AcceptModuleError: `module` is none of these.
        EncodeModuleError: An nnx module does not tell its arguments. A field holds what cannot be
            stored; the message has its path and the fix, or a class shares its name with a later
            definition.

    Example:

    ```python
    >>> import flax.linen as nn, json
    >>> from flaxlayer_core.config import decode_module, encode_module
    >>> config = encode_module(nn.Dense(3, dtype="bfloat16"))
    >>> config["root"]["class"], config["root"]["fields"][0]
    ('flax.linen:Dense', ['features', 3])
    >>> decode_module(json.loads(json.dumps(config))) == nn.Dense(3, dtype="bfloat16")
    True

    ```
    """
    stored = to_factory(module)
    if not (isinstance(stored, nn.Module) or is_nnx_factory(stored) or is_factory(stored)):
        raise AcceptModuleError(
            "Cannot store a configuration.",
            expected="an instance of a flax.linen.Module class, or a module of flax.nnx",
            found=describe(module),
            fix="Call the class: pass Dense(3), not Dense." if isinstance(module, type) else "",
            law="S1",
        )
    if isinstance(stored, functools.partial) and "rngs" in stored.keywords:
        fix = "Leave rngs out: the layer gives them, from its seed."
        raise cannot_store(_label(stored), found="random streams that were bound", fix=fix)
    if isinstance(stored, ModuleFactory) and stored is not module:
        check_remade(module, stored)
    streams = {"streams": list(stored.streams)} if isinstance(stored, ModuleFactory) else {}
    plain = stored.plain if isinstance(stored, ModuleFactory) else stored
    label = _label(module)
    root = encode_value(plain, path=label, namer=namer, resolve=resolve, limits=limits)
    return {"$type": _FORMAT, "version": _VERSION, "root": root, **streams}


def decode_module(
    config: Mapping[str, object],
    *,
    resolve: Resolver | None = None,
    limits: Limits = _LIMITS,
) -> object:
    """The linen module, or what makes the module, that `encode_module` stored (S2, S3).

    Names are resolved by dictionary look-up alone: nothing is imported, evaluated or unpickled, and
    bounds are checked before anything is made. The modules have no parent, even inside a method of
    another module.

    Args:
        config: What `encode_module` returned, through JSON or not.
        resolve: Asked first what a name stands for; gets the stored name, then the plain one. None
            means unknown.
        limits: Bounds on what is read.

    Raises:
        DecodeModuleError: The configuration is malformed, too large, or names what is not known or
            of another kind.

    Example:

    ```python
    >>> from flaxlayer_core.config import decode_module
    >>> config = {"$type": "flaxlayer.module", "version": 1, "root": None}
    >>> config["root"] = {"$type": "function", "name": "os:system"}
    >>> decode_module(config)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    flaxlayer_core.errors.DecodeModuleError: Cannot load module.
    Expected: a function known to this process: stock Flax, registered, or handed to a layer
    Found: 'os:system'
    Fix: ...
    Law: S2

    ```
    """
    with refusals("module"):
        return _decode_envelope(config, resolve, limits)


def _decode_envelope(
    config: Mapping[str, object], resolve: Resolver | None, limits: Limits
) -> object:
    root, streams = _open_envelope(config)
    module = decode_value(root, path="module", resolve=resolve, limits=limits)
    if not isinstance(module, nn.Module):
        check_maker(module, "module", resolve)
    if streams is None and (isinstance(module, nn.Module) or is_factory(module)):
        return module
    if streams is not None and _binds_keywords(module):
        check_bounds(streams, limits)
        return ModuleFactory.of(module.func, module.keywords, streams)
    raise refuse(
        "module", expected="an instance of Module, or what makes an nnx one", found=describe(module)
    )


def _label(module: object) -> str:
    made = innermost(module)
    return str(made.__qualname__ if hasattr(made, "__qualname__") else type(made).__name__)


def _open_envelope(config: object) -> tuple[object, list[str] | None]:
    known = {"$type": _FORMAT, "version": _VERSION}
    if not isinstance(config, Mapping) or config.keys() - {"streams"} != {*known, "root"}:
        raise refuse("module", expected="what encode_module returned", found=shorten(config))
    if type(config["version"]) is not int or config["$type"] != _FORMAT:
        raise refuse(
            "module", expected=shorten(known), found=shorten([config["$type"], config["version"]])
        )
    if config["version"] != _VERSION:
        fix = "Load it with the version of flaxlayer that stored it, or a later one."
        found = f"format {shorten(config['version'])}"
        raise refuse("module", expected=f"format {_VERSION}", found=found, fix=fix)
    streams = config.get("streams")
    if streams is not None and not _are_names(streams):
        raise refuse("module", expected="a list of names of streams", found=shorten(streams))
    return config["root"], streams


def _binds_keywords(value: object) -> TypeGuard[functools.partial[object]]:
    return type(value) is functools.partial and not value.args and is_nnx_factory(value)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def encode_value(
    value: object,
    *,
    path: str,
    namer: Callable[[object], str | None] | None = None,
    resolve: Resolver | None = None,
    limits: Limits = _LIMITS,
) -> object:
    """The JSON form of a single value, such as a static argument of a call.

    Args:
        value: Any value that may stand in a module's field.
        path: How messages name it.
        namer: As in `encode_module`.
        resolve: As in `encode_module`.
        limits: Bounds on what is written.

    Raises:
        EncodeModuleError: It holds what cannot be stored.

    Example:

    ```python
    >>> from flaxlayer_core.config import encode_value
    >>> encode_value((1, "same"), path="padding")
    {'$type': 'tuple', 'items': [1, 'same']}

    ```
    """
    try:
        stored = Encoder(_KINDS, limits, namer, resolve).encode(value, path)
        check_bounds(stored, limits)
        check_repeats(stored)
    except DecodeModuleError as error:
        raise _too_large(path, error.expected) from None
    except RecursionError:
        raise _too_large(path, "less nesting") from None
    return stored


def _too_large(path: str, expected: str) -> EncodeModuleError:
    # What is written must load again.
    fix = "Hold less in the fields of the module."
    return cannot_store(path, expected=expected, found="more", fix=fix, law="S3")


def decode_value(
    config: object, *, path: str, resolve: Resolver | None = None, limits: Limits = _LIMITS
) -> object:
    """The value that `encode_value` stored.

    Args:
        config: Its JSON form.
        path: How messages name it.
        resolve: As in `decode_module`.
        limits: Bounds on what is read.

    Raises:
        DecodeModuleError: As in `decode_module`.

    Example:

    ```python
    >>> from flaxlayer_core.config import decode_value
    >>> decode_value({"$type": "tuple", "items": [1, "same"]}, path="padding")
    (1, 'same')

    ```
    """
    check_bounds(config, limits)
    with refusals(path):
        check_repeats(config)
        return Decoder(_BY_TAG, limits, resolve, config).decode(config, path)
