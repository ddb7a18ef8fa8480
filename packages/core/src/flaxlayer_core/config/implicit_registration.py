"""Implicit registration of what stands in the fields of a module that the process made (S2)."""

from __future__ import annotations

__all__ = ["remember"]

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from types import FunctionType, MethodType, SimpleNamespace

from flaxlayer_core.compat.private_lifts import is_lifted_class, lift_arguments
from flaxlayer_core.config.kinds.config_dicts import config_dict_items
from flaxlayer_core.config.kinds.functions import factory_arguments
from flaxlayer_core.config.kinds.records import init_fields
from flaxlayer_core.config.limits import Limits
from flaxlayer_core.config.object_codecs import codecs_of
from flaxlayer_core.config.stock import stock_name
from flaxlayer_core.config.world import adopt
from flaxlayer_core.trees.container_parts import own_attributes


def remember(value: object) -> None:
    """Makes every class and named function in `value` known to stored configurations.

    A layer does this with the module that it is given: its class, the classes of its submodules,
    of configurations, dataclasses, enums and named tuples, and the named functions in its fields.
    Lambdas and functions that capture variables are passed over, with what they capture; `register`
    names those. Where two definitions have one qualified name, the latest is meant.

    Args:
        value: A module, or any value that stands in one.

    Example:

    ```python
    >>> import flax.linen as nn
    >>> from flaxlayer_core.config import decode_module, encode_module, remember
    >>> class Scale(nn.Module):
    ...     factor: float
    >>> remember(Scale(2.0))
    >>> decode_module(encode_module(Scale(3.0))).factor
    3.0

    ```
    """
    pending, seen = [value], dict[int, object]()
    # What an object tells may be made anew each time, and tell of others without end: more than a
    # file can hold need not be known.
    while pending and len(seen) < Limits.nodes:
        item = pending.pop()
        if id(item) not in seen:
            seen[id(item)] = item  # held, so that its id stays its own
            adopt(item)
            pending.extend(reversed([*_parts(item)]))


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, (str, bytes, int, float)):
        return (type(value),)
    if isinstance(value, type):
        return _made_from(value)
    if stock_name(value) is not None:
        return ()
    if isinstance(value, Mapping):
        return (type(value), *value.keys(), *value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return (type(value), *value)
    if isinstance(value, functools.partial):
        return (value.func, *value.args, *value.keywords.values())
    if isinstance(value, (FunctionType, MethodType)):
        # What a function captures is not named by anybody; what a stock factory was given is.
        return factory_arguments(value)
    held = config_dict_items(value)
    return (type(value), *(_attributes(value) if held is None else held))


def _attributes(value: object) -> Iterable[object]:
    if not dataclasses.is_dataclass(value):
        is_namespace = type(value) is SimpleNamespace
        return own_attributes(value).values() if is_namespace else _told(value)
    return [getattr(value, field.name, None) for field in init_fields(type(value))]


def _told(value: object) -> Iterable[object]:
    """What an object says that it was made of; what else it holds is not named by anybody."""
    for codec in codecs_of(type(value)):
        try:
            return (codec.take(value),)
        except Exception:  # a user's method may raise anything: then there is a next one, or none
            continue
    return ()


def _made_from(cls: type) -> Iterable[object]:
    """The class that a lifted transform was given, and the transform's arguments."""
    return (*cls.__bases__, *lift_arguments(cls)) if is_lifted_class(cls) else ()
