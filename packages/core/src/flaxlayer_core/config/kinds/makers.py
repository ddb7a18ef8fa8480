"""What makes a module, stored by its name and its arguments (S2, S5)."""

from __future__ import annotations

__all__ = ["MAKER_KINDS", "check_maker", "remember_maker"]

import inspect
import sys
from types import FunctionType, MethodType

from flaxlayer_core.config import world
from flaxlayer_core.config.definitions import is_module_class, is_nnx_class, qualified_name
from flaxlayer_core.config.reports import cannot_store, describe, refuse, shorten
from flaxlayer_core.config.stock import stock_name
from flaxlayer_core.config.walk import Decoder, Encoder, Kind, Node
from flaxlayer_core.modules.misplaced_values import innermost
from flaxlayer_core.typing import Leaf

# What was handed to a layer to make its module, by name. Loading calls it, so it does not do that
# a function is known because it stands in a field.
_handed: dict[str, object] = {}


def remember_maker(factory: object) -> None:
    """Lets stored configurations call what was handed to a layer to make its module.

    Args:
        factory: A function, a method, a callable object, or a `functools.partial` of one.
    """
    name = _name(innermost(factory))
    if name is not None:
        _handed[name] = innermost(factory)


def check_maker(value: object, path: str, resolve: world.Resolver | None) -> None:
    """Refuses to let a configuration call what nobody named as what makes a module.

    Args:
        value: What a configuration has for a module, and is none.
        path: Where it stands.
        resolve: As for `decode_module`.

    Raises:
        DecodeModuleError: Unless it is a class of modules, a function or a method that this process
            handed to a layer to make its module, or one that was registered.
    """
    made = innermost(value)
    if is_module_class(made) or is_nnx_class(made) or isinstance(made, MethodType):
        return  # of a method the walk made sure
    if callable(made) and not isinstance(made, type) and _is_named(made, resolve):
        return
    raise refuse(
        path,
        expected="an instance of Module, or what makes one: handed to a layer, or registered",
        found=describe(made),
        fix="flaxlayer.register() it before loading, if it makes a module.",
    )


def _is_named(made: Leaf, resolve: world.Resolver | None) -> bool:
    if stock_name(made) is not None:
        return False
    named = made if hasattr(made, "__qualname__") else type(made)  # a callable object
    if _name(made) in _handed or _is_known_by_name(named, resolve):
        return True
    owner = _static_owner(made)
    return owner is not None and _may_call(owner, owner, made.__name__, resolve)


def _is_known_by_name(obj: Leaf, resolve: world.Resolver | None) -> bool:
    """Whether who loads named a class or a function: by `register`, or in `custom_objects`."""
    if stock_name(obj) is not None:
        return False
    name = qualified_name(obj)
    if world.is_registered(obj) or resolve is None or name is None:
        return world.is_registered(obj)
    return any(resolve(each) is obj for each in (name, name.rpartition(":")[2], obj.__name__))


def _name(made: object) -> str | None:
    if isinstance(made, MethodType):
        return _method_name(_class_of(made.__self__), made.__name__)
    return qualified_name(made) if hasattr(made, "__qualname__") else qualified_name(type(made))


def _method_name(cls: type, name: str) -> str:
    return f"{qualified_name(cls)}.{name}"


def _class_of(owner: object) -> type:
    return owner if isinstance(owner, type) else type(owner)


def _static_owner(value: object) -> type | None:
    """The class that has it as a static method."""
    module, _, qualname = str(qualified_name(value)).partition(":")
    found: Leaf = sys.modules.get(module)
    *above, name = qualname.split(".")
    for part in above:
        found = inspect.getattr_static(found, part, None)
    is_static = isinstance(found, type) and isinstance(vars(found).get(name), staticmethod)
    return found if is_static else None


def _is_bound(value: object) -> bool:
    if not isinstance(value, MethodType | FunctionType) or _name(value) not in _handed:
        return False
    return isinstance(value, MethodType) or _static_owner(value) is not None


def _encode_bound(value: Leaf, path: str, walk: Encoder) -> Node:
    is_bound = isinstance(value, MethodType)
    owner = value.__self__ if is_bound else _static_owner(value)
    name = value.__name__
    if name[:1] == "_" or getattr(owner, name, None) != value:
        fix = "Write it as a function of a module file, or as a class method."
        raise cannot_store(path, expected="a public method", found=describe(value), fix=fix)
    return {"self": walk.encode(owner, f"{path}.__self__"), "name": name}


def _decode_bound(node: Node, path: str, walk: Decoder) -> object:
    owner, name = walk.decode(node["self"], f"{path}.__self__"), node["name"]
    cls = _class_of(owner)
    if isinstance(name, str) and name[:1] != "_" and _may_call(owner, cls, name, walk.resolve):
        return getattr(owner, name)
    found = f"{cls.__qualname__}.{name}" if isinstance(name, str) else shorten(name)
    raise refuse(
        path,
        expected="a method that makes a module: handed to a layer, or of a registered class",
        found=shorten(found),
        fix=f"flaxlayer.register({found}) before loading, if it is one."
        if isinstance(name, str) and name.isidentifier()
        else "",
    )


def _may_call(owner: object, cls: type, name: str, resolve: world.Resolver | None) -> bool:
    static = inspect.getattr_static(cls, name, None)
    of_class = isinstance(static, classmethod | staticmethod)
    if not (of_class or (owner is not cls and isinstance(static, FunctionType))):
        return False
    if _method_name(cls, name) in _handed:
        return True
    # Who registers a class of modules names what makes them.
    is_module = is_module_class(cls) or is_nnx_class(cls)
    if of_class and is_module and _is_known_by_name(cls, resolve):
        return True
    function = static.__func__ if isinstance(static, classmethod | staticmethod) else static
    return _is_known_by_name(function, resolve)


MAKER_KINDS = (Kind("bound", frozenset({"self", "name"}), _is_bound, _encode_bound, _decode_bound),)
