"""Functions: by name, method of a known class, partial, or closure of a stock factory."""

from __future__ import annotations

__all__ = ["FUNCTION_KINDS", "NAMED_FUNCTION", "factory_arguments"]

import functools
import inspect
import itertools
from types import FunctionType

import flax.linen as nn
import jax

from flaxlayer_core.compat.private_closures import FACTORIES, captured_by, factory_of
from flaxlayer_core.config import world
from flaxlayer_core.config.argument_limits import check_integers, check_storable
from flaxlayer_core.config.definitions import is_module_class, public_methods
from flaxlayer_core.config.kinds.classes import decode_class, encode_class
from flaxlayer_core.config.reports import cannot_store, describe, explain, refuse, shorten
from flaxlayer_core.config.stock import stock_name
from flaxlayer_core.config.walk import Decoder, Encoder, Kind, Node
from flaxlayer_core.typing import Leaf

_FIX = (
    "Write it as a named function of a module file, or flaxlayer.register(f, name='...'), "
    "before loading too; or give the layer what makes the module: "
    "FlaxLayer(functools.partial(build, ...))."
)


def _is_closure(value: object) -> bool:
    """Whether a stock factory made `value`."""
    return factory_of(value) is not None


def factory_arguments(value: object) -> tuple[object, ...]:
    """What was given to the stock factory that made `value`; nothing of any other function."""
    if not isinstance(value, FunctionType) or factory_of(value) is None:
        return ()
    return tuple(captured_by(value).values())


def _encode_closure(value: FunctionType, path: str, walk: Encoder) -> Node:
    name = factory_of(value)
    assert name is not None  # _is_closure
    parameters = inspect.signature(FACTORIES[name]).parameters
    held = captured_by(value)
    arguments = {key: held[key] for key in parameters if key in held}
    nodes = walk.arguments(arguments, path, "{path}({name}=)")
    if not _holds_the_same(value, _make(name, arguments), path, walk):
        raise cannot_store(path, expected=f"what {name} makes", found=describe(value), fix=_FIX)
    return {"factory": name, "arguments": nodes}


def _make(name: str, arguments: dict[str, Leaf]) -> Leaf:
    factory, named = FACTORIES[name], dict(arguments)
    parameters = inspect.signature(factory).parameters.values()
    spread = [named.pop(p.name, ()) for p in parameters if p.kind is p.VAR_POSITIONAL]
    if not all(isinstance(values, (tuple, list, set, frozenset)) for values in spread):
        raise TypeError("a container is needed")  # S3: a range could be spread without end
    return factory(*itertools.chain(*spread), **named)


def _holds_the_same(left: FunctionType, right: FunctionType, path: str, walk: Encoder) -> bool:
    # A later version of a factory may keep what its arguments do not say: then nothing is stored.
    return walk.canonical(captured_by(left), path) == walk.canonical(captured_by(right), path)


def _decode_closure(node: Node, path: str, walk: Decoder) -> object:
    name = node["factory"]
    if not isinstance(name, str) or name not in FACTORIES:
        raise refuse(path, expected=f"one of {sorted(FACTORIES)}", found=shorten(name))
    arguments = walk.arguments(node["arguments"], path, "{path}({name}=)")
    try:
        return _make(name, arguments)
    except Exception as error:  # a factory may check its arguments with any error
        raise refuse(path, expected=f"arguments of {name}", found=explain(error)) from error


def _is_function(value: object) -> bool:
    return callable(value) and not isinstance(value, (type, nn.Module))


def _has_known_name(value: object) -> bool:
    # Before any other kind: a stock function may be a dataclass, as checkpoint policies are.
    return _is_function(value) and (world.is_registered(value) or stock_name(value) is not None)


def _encode_function(value: object, path: str, walk: Encoder) -> Node:
    name = walk.name(value, path)
    if name is None:
        expected = "a function that its name stands for"
        raise cannot_store(path, expected=expected, found=describe(value), fix=_FIX)
    return {"name": name}


def _decode_function(node: Node, path: str, walk: Decoder) -> object:
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


def _decode_method(node: Node, path: str, walk: Decoder) -> object:
    cls = decode_class(node["class"], path, walk, is_module_class, "a module class")
    methods = public_methods(cls)
    if isinstance(node["name"], str) and node["name"] in methods:
        return methods[node["name"]]
    raise refuse(
        path, expected=f"a public method of {cls.__qualname__}", found=shorten(node["name"])
    )


def _is_partial(value: object) -> bool:
    return type(value) in (functools.partial, jax.tree_util.Partial)


def _encode_partial(value: Leaf, path: str, walk: Encoder) -> Node:
    check_storable(value.func, value.args, value.keywords, path)
    return {
        "tree": type(value) is jax.tree_util.Partial,
        "func": walk.encode(value.func, f"{path}.func"),
        "args": walk.items(value.args, f"{path}.args"),
        "keywords": walk.arguments(value.keywords, path, "{path}.keywords[{name!r}]"),
    }


def _decode_partial(node: Node, path: str, walk: Decoder) -> object:
    func = walk.decode(node["func"], f"{path}.func")
    if not callable(func) or type(node["tree"]) is not bool:
        raise refuse(f"{path}.func", expected="a class or a function", found=describe(func))
    args = walk.items(node["args"], f"{path}.args")
    keywords = walk.arguments(node["keywords"], path, "{path}.keywords[{name!r}]")
    check_integers(func, args, keywords, path)
    return (jax.tree_util.Partial if node["tree"] else functools.partial)(func, *args, **keywords)


_NAME = frozenset({"name"})

NAMED_FUNCTION = Kind("function", _NAME, _has_known_name, _encode_function, _decode_function)
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
