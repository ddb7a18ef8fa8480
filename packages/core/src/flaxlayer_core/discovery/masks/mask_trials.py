"""The outputs of a method at trial sizes, without an array made where that can be (A4, B1)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
from flax.core import DenyList

from flaxlayer_core.discovery.module_call import ModuleCall, abstract_keys
from flaxlayer_core.jaxprs.traced import UNTRACEABLE
from flaxlayer_core.trees.arguments import partition
from flaxlayer_core.trees.roles import Role
from flaxlayer_core.typing import Args, Array, Kwargs, PyTree, Shaped, Variables

__all__ = ["outputs_at"]


def outputs_at(
    call: ModuleCall,
    args: Args,
    kwargs: Kwargs,
    variables: Variables | None,
    modes: Sequence[bool],
    streams: Sequence[str] = (),
) -> PyTree:
    """Returns the outputs of a method for abstract arguments, None where it refuses them.

    Args:
        call: The module and its call.
        args: Positional arguments, with `ShapeDtypeStruct` for arrays.
        kwargs: Keyword arguments.
        variables: Abstract variables; None for those that init makes of these arguments.
        modes: The modes to apply it in.
        streams: Random streams that it is known to draw from.

    Returns:
        A list of the outputs in each mode.
    """
    arrays, structure = partition(args, kwargs)
    listed = (*streams, *(call.rngs or ()), *(key.stream for key in call.method.keys if key.stream))
    trial = replace(call, structure=structure, rngs=listed)
    try:
        return _run(trial, arrays, variables, modes)
    except Warning:  # where warnings are errors; what a module warns of is no refusal
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _run_or_refuse(trial, arrays, variables, modes)
    except Exception:  # a module may refuse in any way; the call itself explains it
        return None


def _run_or_refuse(
    call: ModuleCall, arrays: list[Shaped], variables: PyTree, modes: Sequence[bool]
) -> PyTree:
    try:
        return _run(call, arrays, variables, modes)
    except Exception:  # as above
        return None


def _run(
    call: ModuleCall, arrays: list[Shaped], variables: PyTree, modes: Sequence[bool]
) -> PyTree:
    try:
        return _abstract(call, arrays, variables, modes)
    except UNTRACEABLE:
        return _concrete(call, arrays, modes)


def _abstract(
    call: ModuleCall, arrays: list[Shaped], variables: Variables | None, modes: Sequence[bool]
) -> PyTree:
    if variables is None:
        init_keys = abstract_keys(_streams(call, init=True))
        variables = jax.eval_shape(
            lambda rngs, arrays: call.init(rngs, arrays, training=True), init_keys, arrays
        )
    keys = abstract_keys(_streams(call, init=False))

    def apply(variables: PyTree, rngs: PyTree, arrays: Sequence[Array]) -> PyTree:
        return _apply(call, variables, rngs, arrays, modes)

    return jax.eval_shape(apply, dict(variables), keys, arrays)


def _concrete(call: ModuleCall, arrays: list[Shaped], modes: Sequence[bool]) -> PyTree:
    with jax.ensure_compile_time_eval():
        ones = [jnp.ones(array.shape, array.dtype) for array in arrays]
        keys = dict.fromkeys(_streams(call, init=True), jax.random.key(0))
        variables = call.init(keys, ones, training=True)
        keys = dict.fromkeys(_streams(call, init=False), jax.random.key(0))
        return _apply(call, variables, keys, ones, modes)


def _apply(
    call: ModuleCall,
    variables: PyTree,
    rngs: PyTree,
    arrays: Sequence[Array],
    modes: Sequence[bool],
) -> PyTree:
    denied = {name for name in variables if call.policy.role(name) is Role.TRAINABLE}
    mutable = DenyList(tuple(denied | {"params"}))
    return [
        call.apply(variables, rngs, arrays, training=training, mutable=mutable)[0]
        for training in modes
    ]


def _streams(call: ModuleCall, *, init: bool) -> tuple[str, ...]:
    offered = call.flax_module.facts.offered_streams(init=init)
    if offered is not None and (init or not call.method.keys):
        return offered
    # Flax takes `params`, or `default`, for a stream that is not there.
    usual = ("params", "dropout", "default")
    return tuple(dict.fromkeys((*usual, *(offered or ()), *(call.rngs or ()))))
