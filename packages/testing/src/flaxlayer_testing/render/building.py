"""A generated module with the arrays and keys to run it with (T1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer_testing.render import pieces as blocks
from flaxlayer_testing.render.linen_module import build_module
from flaxlayer_testing.render.nnx_module import build_nnx_module
from flaxlayer_testing.render.source import input_names
from flaxlayer_testing.spec.operations import VOCABULARY
from flaxlayer_testing.spec.spec import Case, ModuleSpec, ValueType
from flaxlayer_testing.spec.traits import spec_traits

__all__ = [
    "build_module",
    "flag_arguments",
    "init_variables",
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


def module_of(case: Case) -> Any:
    """Builds the module of a case: of linen, or of nnx as an object or what makes one."""
    if case.framework == "linen":
        return build_module(case.spec)
    seed = case.seed if case.instance else None
    return build_nnx_module(case.spec, batch_size=case.batch_size, seed=seed)


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
    rngs = {"params": jax.random.key(case.seed), **make_rngs(spec, case.seed, training=training)}
    inputs = jax.tree_util.tree_map(jnp.asarray, make_inputs(spec, case.batch_size, case.seed))
    arguments: dict[str, Any] = dict(flag_arguments(spec, training=training))
    variables: Mapping[str, Any] = build_module(spec).init(rngs, *inputs, **arguments)
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
