"""Functions: by name, as a method of a known class, as a partial, or as a closure of a stock factory."""

from __future__ import annotations

__all__ = ["FUNCTION_KINDS", "REGISTERED_FUNCTION"]

import functools
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType
from typing import Any

import flax.linen as nn
import jax

from flaxlayer_core.config import world
from flaxlayer_core.config.classes import decode_class, encode_class
from flaxlayer_core.config.definitions import closure_variables, is_module_class, public_methods
from flaxlayer_core.config.reports import cannot_store, describe, refuse, shorten
from flaxlayer_core.config.walk import Decoder, Encoder, Kind, Node

_FIX = "Write it as a named function of a module file, or flaxlayer.register(f, name='...'), before loading too."
_initializers = jax.nn.initializers
# What each factory makes, as a sample: its code tells a function that the factory made from any other.
_SAMPLES: Mapping[str, tuple[Callable[..., Any], Any]] = MappingProxyType(
    {
        "jax.nn.initializers:constant": (_initializers.constant, _initializers.constant(0)),
        "jax.nn.initializers:delta_orthogonal": (
            _initializers.delta_orthogonal,
            _initializers.delta_orthogonal(),
        ),
        "jax.nn.initializers:normal": (_initializers.normal, _initializers.normal()),
        "jax.nn.initializers:orthogonal": (_initializers.orthogonal, _initializers.orthogonal()),
        "jax.nn.initializers:truncated_normal": (
            _initializers.truncated_normal,
            _initializers.truncated_normal(),
        ),
        "jax.nn.initializers:uniform": (_initializers.uniform, _initializers.uniform()),
        # The Glorot, He and LeCun initializers are this one with its arguments filled in.
        "jax.nn.initializers:variance_scaling": (
            _initializers.variance_scaling,
            _initializers.variance_scaling(1.0, "fan_in", "normal"),
        ),
        "flax.linen:with_logical_partitioning": (
            nn.with_logical_partitioning,
            nn.with_logical_partitioning(nn.zeros, ()),
        ),
        "flax.linen:with_partitioning": (nn.with_partitioning, nn.with_partitioning(nn.zeros, ())),
    }
)
_FACTORY_OF_CODE = {sample.__code__: name for name, (_, sample) in _SAMPLES.items()}


def _captured(function: FunctionType) -> dict[str, Any]:
    """The argument defaults and the captured variables of `function`, by name."""
    parameters = inspect.signature(function, follow_wrapped=False).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    return defaults | closure_variables(function)


def _is_closure(value: object) -> bool:
    """Whether a stock factory made `value`."""
    return isinstance(value, FunctionType) and value.__code__ in _FACTORY_OF_CODE


def _encode_closure(value: FunctionType, path: str, walk: Encoder) -> Node:
    name = _FACTORY_OF_CODE[value.__code__]
    factory = _SAMPLES[name][0]
    held = _captured(value)
    arguments = {key: held[key] for key in inspect.signature(factory).parameters if key in held}
    nodes = [[key, walk.encode(argument, f"{path}({key}=)")] for key, argument in arguments.items()]
    if not _holds_the_same(value, factory(**arguments), path, walk):
        raise cannot_store(path, expected=f"what {name} makes", found=describe(value), fix=_FIX)
    return {"factory": name, "arguments": nodes}


def _holds_the_same(left: FunctionType, right: FunctionType, path: str, walk: Encoder) -> bool:
    # A future version of a factory may keep something that its arguments do not say: then nothing is stored.
    return walk.canonical(_captured(left), path) == walk.canonical(_captured(right), path)


def _decode_closure(node: Node, path: str, walk: Decoder) -> Any:
    name = node["factory"]
    if not isinstance(name, str) or name not in _SAMPLES:
        raise refuse(path, expected=f"one of {sorted(_SAMPLES)}", found=shorten(name))
    arguments = walk.arguments(node["arguments"], path, "{path}({name}=)")
    try:
        return _SAMPLES[name][0](**arguments)
    except Exception as error:  # a factory may check its arguments with any error
        raise refuse(path, expected=f"arguments of {name}", found=shorten(str(error))) from error


def _is_function(value: object) -> bool:
    return callable(value) and not isinstance(value, (type, nn.Module))


def _is_registered_function(value: object) -> bool:
    return _is_function(value) and world.is_registered(value)


def _encode_function(value: object, path: str, walk: Encoder) -> Node:
    name = walk.name(value, path)
    if name is None:
        expected = "a function that its name stands for"
        raise cannot_store(path, expected=expected, found=describe(value), fix=_FIX)
    return {"name": name}


def _decode_function(node: Node, path: str, walk: Decoder) -> Any:
    return walk.find(node["name"], path, _is_function, "a function")


def _owner(value: object) -> type | None:
    name = getattr(value, "__name__", None)
    known = (cls for cls in world.known_classes() if is_module_class(cls))
    return next((cls for cls in known if public_methods(cls).get(str(name)) is value), None)


def _is_method(value: object) -> bool:
    is_nested_name = "." in getattr(value, "__qualname__", "")
    return isinstance(value, FunctionType) and is_nested_name and _owner(value) is not None


def _encode_method(value: FunctionType, path: str, walk: Encoder) -> Node:
    owner = _owner(value)
    assert owner is not None  # _is_method
    return {"class": encode_class(owner, path, walk), "name": value.__name__}


def _decode_method(node: Node, path: str, walk: Decoder) -> Any:
    cls = decode_class(node["class"], path, walk, is_module_class, "a module class")
    methods = public_methods(cls)
    if isinstance(node["name"], str) and node["name"] in methods:
        return methods[node["name"]]
    raise refuse(
        path, expected=f"a public method of {cls.__qualname__}", found=shorten(node["name"])
    )


def _is_partial(value: object) -> bool:
    return type(value) in (functools.partial, jax.tree_util.Partial)


def _encode_partial(value: Any, path: str, walk: Encoder) -> Node:
    keywords = value.keywords.items()
    return {
        "tree": type(value) is jax.tree_util.Partial,
        "func": walk.encode(value.func, f"{path}.func"),
        "args": walk.items(value.args, f"{path}.args"),
        "keywords": [
            [name, walk.encode(item, f"{path}.keywords[{name!r}]")] for name, item in keywords
        ],
    }


def _decode_partial(node: Node, path: str, walk: Decoder) -> Any:
    func = walk.decode(node["func"], f"{path}.func")
    if not callable(func) or type(node["tree"]) is not bool:
        raise refuse(f"{path}.func", expected="a class or a function", found=describe(func))
    args = walk.items(node["args"], f"{path}.args")
    keywords = walk.arguments(node["keywords"], path, "{path}.keywords[{name!r}]")
    return (jax.tree_util.Partial if node["tree"] else functools.partial)(func, *args, **keywords)


_NAME = frozenset({"name"})

REGISTERED_FUNCTION = Kind(
    "function", _NAME, _is_registered_function, _encode_function, _decode_function
)
FUNCTION_KINDS = (
    Kind(
        "closure",
        frozenset({"factory", "arguments"}),
        _is_closure,
        _encode_closure,
        _decode_closure,
    ),
    Kind(
        "partial",
        frozenset({"tree", "func", "args", "keywords"}),
        _is_partial,
        _encode_partial,
        _decode_partial,
    ),
    Kind("method", frozenset({"class", "name"}), _is_method, _encode_method, _decode_method),
    Kind("function", _NAME, _is_function, _encode_function, _decode_function),
)
