"""Bounds on what a file has classes of Flax count through: sizes, axes and counts (S3)."""

from __future__ import annotations

__all__ = ["check_integers", "check_storable"]

import dataclasses
import functools
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType, MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer_core.config.reports import cannot_store, refuse
from flaxlayer_core.config.stock import stock_name
from flaxlayer_core.typing import Leaf

_MOST_SIZE, _MOST_AXIS, _MOST_STEPS = (1 << 31) - 1, 1 << 16, 1_000
_SIZES = """
amax_history_length feature_group_count features group_size hidden_features in_features
in_kv_features kernel_shape lora_rank num_embeddings num_features num_groups num_heads num_kv_heads
out_features qkv_features shape
"""
_AXES = """
axis batch_dims broadcast_dims feature_axes input_dilation kernel_dilation kernel_size padding
reduction_axes strides unroll
"""
# Flax makes the set of all axes up to the largest of `batch_dims` and `batch_axis` (which has
# sizes, too), and traces a product of matrices for each of `n_steps`.
_MOST: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(_SIZES.split(), _MOST_SIZE),
        **dict.fromkeys(_AXES.split(), _MOST_AXIS),
        "batch_axis": 1 << 20,
        "n_steps": _MOST_STEPS,
    }
)
# What is counted through in the trace of most modules that have it, whoever wrote them.
_LAYERS = re.compile(r"(?:\w+_)?(?:num|n)_(?:\w+_)?(?:layers?|blocks?)|layers|blocks")
_MOST_LAYERS = 10_000
# The others of an `einsum` look for the best order of the operands among all that there are.
_QUICK_ORDERS = ("auto", "auto-hq", "branch-1", "dp", "greedy", "random-greedy")
_MOST_ORDERED = 6
# A padding by these is put together from copies of the input, one by one.
_REPEATED, _MOST_REPEATED = frozenset({"CIRCULAR", "REFLECT"}), 1 << 14


def check_integers(
    cls: object, positional: Iterable[object], named: Mapping[str, object], path: str
) -> None:
    """Refuses an integer that is too large for the class of Flax that is given it.

    Args:
        cls: What is called. What its arguments mean is known of classes of Flax and what derives
            from them; of others only those that are called a number of layers or blocks.
        positional: Arguments without names.
        named: Arguments by name.
        path: How messages name the place.

    Raises:
        DecodeModuleError: A size, an axis or a count is beyond its bound.

    Example:

    ```python
    >>> import flax.linen as nn
    >>> check_integers(nn.Embed, (50_000, 64), {}, "table")
    >>> check_integers(nn.DenseGeneral, (3,), {"batch_dims": (0, 1 << 40)}, "dense")
    Traceback (most recent call last):
    flaxlayer_core.errors.DecodeModuleError: Cannot load dense.
    Expected: batch_dims of at most 65536
    Found: more
    Fix: Check where the configuration comes from; flaxlayer did not write this.
    Law: S3

    ```
    """
    expected = _oversized(cls, positional, named)
    if expected:
        raise refuse(path, expected=expected, found="more", law="S3")


def check_storable(
    cls: object, positional: Iterable[object], named: Mapping[str, object], path: str
) -> None:
    """Raises where `check_integers` would, since what is written must load again.

    Raises:
        EncodeModuleError: A size, an axis or a count is beyond its bound.
    """
    expected = _oversized(cls, positional, named)
    if expected:
        fix = "Give the module smaller sizes."
        raise cannot_store(path, expected=expected, found="more", fix=fix, law="S3")


def _oversized(
    cls: object, positional: Iterable[object], named: Mapping[str, object]
) -> str | None:
    """What is expected of an integer that is too large, None where none is."""
    while isinstance(cls, functools.partial):
        positional, named = (*cls.args, *positional), {**cls.keywords, **named}
        cls = cls.func
    for name, value in named.items():
        if type(value) is int and value > _MOST_LAYERS and _LAYERS.fullmatch(name):
            return f"{name} of at most {_MOST_LAYERS}"
    if cls is jnp.einsum:
        return _slow_order(*positional, **named)
    known = _stock_parameters(cls)
    arguments = dict(zip(known, positional, strict=False)) | {
        name: value for name, value in named.items() if name in known
    }
    for name in filter(_MOST.__contains__, arguments):
        if any(abs(number) > _MOST[name] for number in _integers(arguments[name])):
            return f"{name} of at most {_MOST[name]}"
    padding = arguments.get("padding")
    repeats = isinstance(padding, str) and padding in _REPEATED
    if repeats and _reach(arguments) > _MOST_REPEATED:
        return f"a padded kernel that reaches over at most {_MOST_REPEATED} elements"
    return None


def _slow_order(*operands: object, optimize: object = "auto", **_: object) -> str | None:
    """What is expected of an `einsum` that would look for an order for long."""
    subscripts = operands[0] if operands and isinstance(operands[0], str) else ""
    count = max(subscripts.count(",") + 1, len(operands))
    is_quick = optimize is False or (isinstance(optimize, str) and optimize in _QUICK_ORDERS)
    if is_quick or count <= _MOST_ORDERED:
        return None
    return f"optimize among {_QUICK_ORDERS} for more than {_MOST_ORDERED} operands"


def _stock_parameters(cls: object) -> list[str]:
    """What the class of Flax takes that `cls` is or derives from, in order."""
    bases = cls.__mro__ if isinstance(cls, type) else ()
    stock: Leaf = next((base for base in bases if stock_name(base) is not None), None)
    if stock is None:
        return []
    if dataclasses.is_dataclass(stock):
        return [field.name for field in dataclasses.fields(stock) if field.init]
    made = stock.__init__
    return [*inspect.signature(made).parameters][1:] if isinstance(made, FunctionType) else []


def _integers(value: object) -> Iterator[int]:
    """The integers in a value and in the containers there."""
    pending = [value]
    while pending:
        item = pending.pop()
        if type(item) is int:
            yield item
        elif isinstance(item, (np.ndarray, np.generic, jax.Array)):
            held = np.asarray(item)
            if held.size and np.issubdtype(held.dtype, np.integer):
                yield from (int(held.min()), int(held.max()))
        elif isinstance(item, (range, slice)):
            pending.extend((item.start, item.stop, item.step))
        elif isinstance(item, Mapping):
            pending.extend((*item.keys(), *item.values()))
        elif isinstance(item, (tuple, list, set, frozenset)):
            pending.extend(item)


def _reach(arguments: Mapping[str, object]) -> int:
    """Over how many elements a kernel reaches at most."""
    sizes, steps = (
        max(map(abs, _integers(arguments.get(name))), default=1)
        for name in ("kernel_size", "kernel_dilation")
    )
    return sizes * steps
