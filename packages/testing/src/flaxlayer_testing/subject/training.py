"""Learning by raw Flax: gradients of the probe loss, and steps of Optax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.oracle.call import Variables
from flaxlayer_testing.subject.subject import Subject

__all__ = ["MOMENTUM", "RATE", "raw_gradients", "raw_steps", "split_floats", "trained_part"]

RATE, MOMENTUM = 0.125, 0.5
OPTIMIZER = optax.sgd(RATE, momentum=MOMENTUM)


def split_floats(tree: Any) -> tuple[list[Any], Any]:
    """Splits a tree into its floating leaves and a function that puts others in their place."""
    leaves, treedef = jax.tree_util.tree_flatten(tree)
    floating = [jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves]

    def merge(values: list[Any]) -> Any:
        following = iter(values)
        pairs = zip(leaves, floating, strict=True)
        merged = [next(following) if is_float else leaf for leaf, is_float in pairs]
        return jax.tree_util.tree_unflatten(treedef, merged)

    chosen = [leaf for leaf, is_float in zip(leaves, floating, strict=True) if is_float]
    return chosen, merge


def trained_part(subject: Subject, variables: Variables) -> dict[str, Any]:
    """Returns the collections that are trained."""
    return {n: tree for n, tree in variables.items() if n in subject.oracle.raw.trainable}


def raw_gradients(
    subject: Subject, variables: Variables, rngs: Mapping[str, Any], arrays: list[Any]
) -> tuple[tuple[Any, Any], dict[str, Any]]:
    """Returns the gradients of the probe loss, and what the call changes.

    Args:
        subject: What is checked.
        variables: Params and state.
        rngs: A key for each stream.
        arrays: The arrays of the arguments.

    Returns:
        Those by params and by floating inputs, each in its place among the others; the updates.
    """
    params, merge_params = split_floats(trained_part(subject, variables))
    inputs, merge_inputs = split_floats(arrays)

    def loss(params: list[Any], inputs: list[Any]) -> tuple[Any, Any]:
        whole = {**variables, **merge_params(params)}
        return subject.oracle.loss(whole, rngs, merge_inputs(inputs))

    grads, updates = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, inputs)
    return (merge_params(grads[0]), merge_inputs(grads[1])), updates


def _raw_step(
    subject: Subject, variables: Variables, moments: Any, rngs: Mapping[str, Any], arrays: list[Any]
) -> tuple[dict[str, Any], Any]:
    (grads, _), updates = raw_gradients(subject, variables, rngs, arrays)
    params, merge = split_floats(trained_part(subject, variables))
    grads = current_backend().descent(split_floats(grads)[0])
    changes, moments = OPTIMIZER.update(grads, moments)
    moved = merge(optax.apply_updates(params, changes))
    following = subject.oracle.next_variables(variables, updates)
    return {**following, **moved}, moments


def raw_steps(subject: Subject, variables: Variables, keys: list[Any]) -> dict[str, Any]:
    """Returns the variables after an Optax step for each element of the keys.

    Args:
        subject: What is checked.
        variables: Params and state.
        keys: The keys of each step, by stream.

    Returns:
        All variables.
    """
    step = jax.jit(lambda v, moments, rngs, arrays: _raw_step(subject, v, moments, rngs, arrays))
    current, moments = (
        dict(variables),
        OPTIMIZER.init(split_floats(trained_part(subject, variables))[0]),
    )
    for rngs in keys:
        current, moments = step(current, moments, rngs, subject.arrays)
    return current
