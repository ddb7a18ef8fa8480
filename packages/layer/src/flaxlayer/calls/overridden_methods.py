"""What Keras passes to the methods that a subclass overrides (W5)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax

from flaxlayer.inputs import BuildInputs, inputs_from_shapes
from flaxlayer.typing import Args, Array, Function, Kwargs, PyTree, Shape
from flaxlayer_core import (
    ArraySpec,
    CallArgumentError,
    MethodSignature,
    exchange_leaves,
    is_array,
)

__all__ = ["build_arguments", "first_shape", "fits", "reshaped"]


def build_arguments(
    call: MethodSignature, args: Args, kwargs: Kwargs
) -> tuple[Args, dict[str, PyTree]]:
    """Returns what a layer is built on whose `call` is its own.

    Args:
        call: The method of the module.
        args: Positional arguments of the layer's own `call`.
        kwargs: Its keyword arguments.

    Returns:
        The arguments, as far as they are the method's too; else the first one, as in Keras.
    """
    own = {name: value for name, value in kwargs.items() if name not in ("training", "mask")}
    try:
        call.named_arguments(args, own)
    except CallArgumentError:
        return args[:1], {}
    return args, own


def fits(call: Function, args: Args, kwargs: Kwargs) -> bool:
    """Tells whether a call takes these arguments; where not, Keras says so."""
    try:
        inspect.signature(call).bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def first_shape(inputs: BuildInputs) -> PyTree:
    """Returns what Keras passes to `build`: the shape of the first argument, or its shapes.

    Args:
        inputs: What the layer is built on.

    Returns:
        A shape, or a structure of shapes; None without arrays.
    """
    shapes: list[Array] = []

    def trace(arrays: list[Array]) -> None:
        # A5: classes of the user are made of what they are made of in a trace, and not of shapes.
        args, kwargs = inputs.structure.combine(arrays)
        first = args[0] if args else next(iter(kwargs.values()), None)
        leaves, specs = jax.tree_util.tree_leaves(first), iter(inputs.specs)
        found = [next(specs).shape if is_array(leaf) else None for leaf in leaves]
        shapes.append(exchange_leaves(first, leaves, found))

    jax.eval_shape(trace, _structs(inputs.specs))
    return shapes[0]


def _structs(specs: Sequence[ArraySpec]) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct([dim or 1 for dim in spec.shape], spec.dtype) for spec in specs]


def reshaped(inputs: BuildInputs, input_shape: Shape, call: MethodSignature) -> BuildInputs:
    """Returns the inputs of a build with the shapes that an overridden `build` passed on.

    Args:
        inputs: What the layer is called on.
        input_shape: A shape, or a structure of shapes.
        call: The method of the module.

    Returns:
        The same inputs where the shapes are theirs; else inputs of these shapes, whose dtypes are
        those of the call.
    """
    if input_shape is None or _are_same(first_shape(inputs), input_shape):
        return inputs
    supposed = inputs_from_shapes(input_shape, call)
    known = inputs.dtypes[: len(supposed.specs)]
    dtypes = [*known, *supposed.dtypes[len(known) :]]
    reached = supposed.with_dtypes(dtypes)
    return replace(reached, guessed=False, refusable=inputs.refusable)


def _are_same(shape: Shape, other: Any) -> bool:
    # By their leaves: objects of a class, such as a sparse matrix, may not compare, nor be equal.
    flat = [
        jax.tree_util.tree_flatten(_plain(s), is_leaf=lambda part: part is None)
        for s in (shape, other)
    ]
    return flat[0] == flat[1]


def _plain(shape: Shape) -> PyTree:
    if isinstance(shape, Mapping):
        return {name: _plain(part) for name, part in shape.items()}
    return tuple(map(_plain, shape)) if isinstance(shape, list | tuple) else shape
