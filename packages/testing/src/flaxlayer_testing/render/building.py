"""A generated module with the arrays and keys to run it with (T1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from flaxlayer_testing.render import pieces as blocks
from flaxlayer_testing.render.dialects import DIALECTS
from flaxlayer_testing.render.linen_dialect import build_module
from flaxlayer_testing.render.method_ends import input_names
from flaxlayer_testing.spec.extras import GIVEN_ARRAY, Given
from flaxlayer_testing.spec.operations import VOCABULARY
from flaxlayer_testing.spec.spec import Case, ModuleSpec, ValueType
from flaxlayer_testing.spec.traits import spec_traits

__all__ = [
    "call_arguments",
    "flag_arguments",
    "init_variables",
    "make_arguments",
    "make_inputs",
    "make_rngs",
    "make_variables",
    "module_of",
]


def make_inputs(spec: ModuleSpec, batch_size: int, seed: int) -> tuple[Any, ...]:
    """Makes the positional arguments of a module: standard normal, token ids, or a mask.

    Args:
        spec: A spec.
        batch_size: Size of their first dimension.
        seed: Seed of NumPy's generator.

    Returns:
        One finite array for each input; those that the module takes as a pytree stand in it. Raw
        Flax wants them through `jnp.asarray`: in half precision, NumPy's promotion is not JAX's.
    """
    rng = np.random.default_rng(seed)
    arrays = [_make_input(rng, value, batch_size) for value in spec.inputs]
    if spec.arguments == "positional":
        return tuple(arrays)
    own = len(arrays) - spec.mask
    return (_as_tree(spec, arrays[:own]), *arrays[own:])


def _as_tree(spec: ModuleSpec, arrays: list[Any]) -> Any:
    if spec.arguments == "dict":
        return dict(zip(input_names(spec), arrays, strict=False))
    return tuple(arrays) if spec.arguments == "tuple" else blocks.Record(tuple(arrays))


def _make_input(
    rng: np.random.Generator, value: ValueType, batch_size: int
) -> np.ndarray[Any, Any]:
    shape = (batch_size, *value.shape)
    if value.dtype == "int32":
        return rng.integers(0, VOCABULARY, shape).astype(np.int32)
    if value.dtype == "bool":
        # As sequences are padded: behind what is there, at least the first.
        lengths = rng.integers(1, value.shape[-1] + 1, (*shape[:-1], 1))
        return np.arange(value.shape[-1]) < lengths
    return rng.standard_normal(shape).astype(jnp.dtype(value.dtype))


def make_arguments(case: Case) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Makes the arguments of a call of the module of a case, but the training argument.

    Args:
        case: A module, its batch size, its seed, and what is given for its extra parameters.

    Returns:
        Positional and keyword arguments; no keys that a layer fills (R5).

    Example:

    ```python
    >>> from flaxlayer_testing.spec.extras import Extra
    >>> spec = ModuleSpec((ValueType((1,)),), (), (0,), extras=(Extra("times", optional=True),))
    >>> make_arguments(Case(spec, given=(("times", 2),)))[1]
    {'times': 2}

    ```
    """
    given = {name: _make_given(case, name, value) for name, value in case.given}
    positional = [extra.name for extra in case.spec.extras if extra.positional]
    inputs = make_inputs(case.spec, case.batch_size, case.seed)
    return (*inputs, *(given.pop(name) for name in positional)), given


def _make_given(case: Case, name: str, value: Given) -> Any:
    if value == GIVEN_ARRAY:
        rng = np.random.default_rng(case.seed + 1)
        return rng.standard_normal(case.batch_size).astype(np.float32)
    if name == "side":
        return blocks.Side[str(value)]
    return jax.random.key(value) if name == "key" and isinstance(value, int) else value


def call_arguments(
    case: Case, rngs: Mapping[str, jax.Array], *, training: bool
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Makes all arguments of a raw call of the module of a case, its arrays as those of JAX.

    Args:
        case: A module, its batch size, its seed, and what is given for its extra parameters.
        rngs: A key for each stream, for parameters that a layer would fill (R5).
        training: The mode: at inference a method gets no key that it can do without.

    Returns:
        Positional and keyword arguments.
    """
    args, kwargs = jax.tree_util.tree_map(_as_jax_array, make_arguments(case))
    filled = [extra for extra in case.spec.extras if extra.kind.stream]
    for kind in (extra.kind for extra in filled if training or not extra.optional):
        key = rngs[kind.stream]
        kwargs[kind.name] = nnx.Rngs(**{kind.stream: key}) if kind.as_rngs else key
    return args, {**kwargs, **flag_arguments(case.spec, training=training)}


def _as_jax_array(leaf: Any) -> Any:
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf


def module_of(case: Case) -> Any:
    """Builds the module of a case: of linen, or of nnx as an object or what makes one."""
    return DIALECTS[case.framework].module_of(case)


def flag_arguments(spec: ModuleSpec, *, training: bool) -> dict[str, bool]:
    """Returns the keyword arguments that put a module's method into a mode (A2)."""
    return {} if spec.flag is None else {spec.flag.name: spec.flag.argument(training)}


def make_rngs(spec: ModuleSpec, seed: int, *, training: bool) -> dict[str, jax.Array]:
    """Returns a key for each stream that a module draws from in a mode (R1)."""
    names = sorted(spec_traits(spec).streams(training))
    return {name: jax.random.key(seed + 1 + number) for number, name in enumerate(names)}


def init_variables(case: Case, *, training: bool = True) -> Mapping[str, Any]:
    """Initialises the module of a case with raw Flax.

    Args:
        case: A module, its batch size and its seed.
        training: The mode; a layer builds in training (B2).

    Returns:
        What `Module.init` returns.
    """
    spec = case.spec
    drawn = make_rngs(spec, case.seed, training=training)
    rngs = {"params": jax.random.key(case.seed), **drawn}
    args, kwargs = call_arguments(case, drawn, training=training)
    variables: Mapping[str, Any] = build_module(spec).init(rngs, *args, **kwargs)
    return variables


def make_variables(case: Case, seed: int) -> dict[str, Any]:
    """Makes variables for the module of a case, as if it had been trained.

    Args:
        case: A module, its batch size and its seed.
        seed: Seed of NumPy's generator.

    Returns:
        Params and state of the structure, shapes and dtypes that raw `Module.init` gives them,
        those that only inference makes included.
    """
    rng = np.random.default_rng(seed)
    made = [
        jax.eval_shape(lambda m=mode: init_variables(case, training=m)) for mode in (False, True)
    ]
    transient = spec_traits(case.spec).transient
    trees = {name: tree for part in made for name, tree in part.items() if name not in transient}
    return {
        name: jax.tree_util.tree_map(lambda leaf, n=name: _make_variable(rng, leaf, n), tree)
        for name, tree in sorted(trees.items())
    }


def _make_variable(rng: np.random.Generator, leaf: Any, collection: str) -> Any:
    if not jnp.issubdtype(leaf.dtype, jnp.inexact):
        high = 2 if leaf.dtype == bool else 3
        return rng.integers(0, high, leaf.shape).astype(leaf.dtype)
    trained = collection == "params"
    values = rng.standard_normal(leaf.shape) if trained else rng.uniform(size=leaf.shape)
    return np.asarray(values).astype(leaf.dtype)
