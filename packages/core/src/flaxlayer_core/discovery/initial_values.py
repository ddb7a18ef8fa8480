"""Initial values: exactly those of `Module.init`, without running the module on inputs (B2).

A traced init is cut down to what the variables need, which is their initialisers, and that is
evaluated operation by operation: each distinct initialiser is compiled once, and the bits are those
of an eager init.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from flaxlayer_core.compat.private_jax import trace_state_clean
from flaxlayer_core.discovery.build import BuildSpec, ones
from flaxlayer_core.discovery.modes import Planner
from flaxlayer_core.discovery.module_call import abstract_keys, trace_init
from flaxlayer_core.discovery.module_spec import ModuleSpec
from flaxlayer_core.discovery.search import Search
from flaxlayer_core.jaxprs.traced import TracedFunction, held_against
from flaxlayer_core.random.keys import init_rngs
from flaxlayer_core.shapes import (
    AbstractInputs,
    ArraySpec,
    abstract_inputs,
    drop_symbols,
    is_symbolic,
)
from flaxlayer_core.trees.collections import VariableSpec
from flaxlayer_core.trees.matching import (
    describe_variable,
    holds_forms,
    is_form,
    match_given,
    refuse_given,
    replace_leaves,
)
from flaxlayer_core.trees.paths import Path, flatten_with_paths

__all__ = ["forget_trace", "initial_variables", "partition_axes"]


def initial_variables(
    blueprint: BuildSpec,
    seed: int,
    *,
    values: Sequence[Any] | None = None,
    shardings: Mapping[Path, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Returns exactly the values of `Module.init` with keys derived from a seed (B2).

    Inputs stay abstract as long as no value depends on one; else init runs on the inputs at hand,
    or on ones of the right dtype.

    Args:
        blueprint: What `infer_build_spec` found.
        seed: The layer's seed.
        values: The inputs themselves where they are at hand.
        shardings: The sharding of each stored array, by path. Then init is compiled as a whole
            (B5), unless a value depends on an input.

    Returns:
        The stored collections; given variables are in their places, copied once.

    Example:

    ```python
    >>> import flax.linen as nn, numpy as np
    >>> from flaxlayer_core import LinenModule, MethodSignature, ModuleCall
    >>> from flaxlayer_core import infer_build_spec, partition
    >>> module = LinenModule(nn.Dense(2))
    >>> call = MethodSignature.from_method(module, None)
    >>> spec = ArraySpec((None, 3), np.dtype("float32"))
    >>> probe = ModuleCall(module, call, call, partition((spec,), {})[1])
    >>> ours = initial_variables(infer_build_spec(probe, [spec]), 7)
    >>> raw = nn.Dense(2).init(init_rngs(7, ["params"]), np.ones((1, 3), np.float32))
    >>> bool((ours["params"]["kernel"] == raw["params"]["kernel"]).all())
    True

    ```
    """
    discovery = blueprint.discovery
    # Inside a trace the values must be values all the same (B3).
    with contextlib.nullcontext() if trace_state_clean() else jax.ensure_compile_time_eval():
        given = _given_values(blueprint, shardings)
        missing = [path for path in discovery.layout.paths if path not in given]
        if not missing:
            return replace_leaves(discovery.variables, given)
        _refuse_valueless(blueprint, missing)
        made = _made(blueprint, frozenset(missing), seed, values, shardings)
    leaves = dict(flatten_with_paths(dict(discovery.variables))[0])
    filled = {path: _formed(made.get(path), leaves[path]) for path in missing}
    return replace_leaves(discovery.variables, {**given, **filled})


def _given_values(blueprint: BuildSpec, shardings: Mapping[Path, Any]) -> dict[Path, Any]:
    discovery = blueprint.discovery
    fitted, _ = match_given(discovery.variables, blueprint.probe.given_tree())
    # Copied once: Keras's trainer donates what a variable holds, and the user's arrays live on.
    return {
        path: _copied(leaf, shardings.get(path))
        for path, leaf in fitted.items()
        if not is_form(leaf)
    }


def _copied(leaf: Any, sharding: Any) -> jax.Array:
    if sharding is None or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jnp.array(leaf)
    # B5: no device holds the whole of it on the way.
    placed: jax.Array = jax.device_put(leaf, sharding, may_alias=False)
    return jnp.copy(placed) if isinstance(leaf, jax.Array) else placed  # JAX aliases its own


def _refuse_valueless(blueprint: BuildSpec, missing: Sequence[Path]) -> None:
    probe = blueprint.probe
    absent = [path for path in missing if path in probe.flax_module.valueless]
    if absent:
        leaves = dict(flatten_with_paths(dict(blueprint.discovery.variables))[0])
        raise refuse_given(
            probe.title,
            expected=["values for all variables of a module that has none itself"],
            found=[f"no value for {describe_variable(path, leaves[path])}" for path in absent],
            fix="Give variables=, or the module itself in place of the result of nnx.eval_shape.",
        )


def _formed(made: Any, wanted: Any) -> Any:
    # Of another shape, or unknown to init: only the form of what was given once is known.
    if made is not None and made.shape == wanted.shape:
        return made
    spec = VariableSpec.from_leaf((), wanted)
    return spec.restore(jnp.zeros(spec.shape, spec.dtype))


def _made(
    blueprint: BuildSpec,
    missing: frozenset[Path],
    seed: int,
    values: Sequence[Any] | None,
    shardings: Mapping[Path, Any],
) -> dict[Path, Any]:
    discovery = blueprint.discovery
    if not discovery.init_streams and holds_forms(blueprint.probe.given):
        return {}  # where not even the form can be initialised
    run = partial(_init, blueprint, missing, seed, values, shardings)
    variables = run(training=True)
    if discovery.extra_init:
        variables = {**run(training=False), **variables}
    return variables


def _init(
    blueprint: BuildSpec,
    missing: frozenset[Path],
    seed: int,
    values: Sequence[Any] | None,
    shardings: Mapping[Path, Any],
    *,
    training: bool,
) -> dict[Path, Any]:
    if values is not None and any(isinstance(value, jax.core.Tracer) for value in values):
        values = None
    probe, streams = blueprint.probe, blueprint.discovery.init_streams
    failure: Exception | None = None
    for binding in _sized(blueprint.binding):
        try:
            traced = _known(blueprint, training) or _traced(blueprint, binding, training)
        except Exception as error:  # a size may not fit the module: try the next
            failure = error
            continue
        paths: list[Path] = []
        if traced is not None:
            traced, paths = _cut(traced, missing)
            if probe.bound is not None:
                traced.check_made(probe.bound, whole=traced.needs(1))
        if traced is not None and not traced.needs(1):
            rngs = init_rngs(seed, streams) if traced.needs(0) else abstract_keys(streams)
            places = _places(traced.result, paths, shardings) if shardings else None
            leaves = traced.evaluate(rngs, list(binding.arrays), shardings=places)
            return dict(zip(paths, leaves, strict=True))
        concrete = values if values is not None else ones(binding, probe.bound)
        with held_against(probe.bound, where=probe.title):
            variables = probe.init(init_rngs(seed, streams), concrete, training=training)
        return dict(flatten_with_paths(variables)[0])
    assert failure is not None
    raise failure


def _cut(traced: TracedFunction, missing: frozenset[Path]) -> tuple[TracedFunction, list[Path]]:
    # B6: what was given is not made first.
    paths = [path for path, _ in flatten_with_paths(traced.result)[0]]
    wanted = {index for index, path in enumerate(paths) if path in missing}
    return traced.select(wanted), [paths[index] for index in sorted(wanted)]


def _places(
    leaves: Sequence[Any], paths: Sequence[Path], shardings: Mapping[Path, Any]
) -> list[Any]:
    keys = [jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves]
    # What is stored of a key has a dimension more.
    return [None if key else shardings.get(path) for path, key in zip(paths, keys, strict=True)]


def _known(blueprint: BuildSpec, training: bool) -> TracedFunction | None:
    # What discovery traced, unless it has symbolic sizes in it or keys of another kind.
    discovery = blueprint.discovery
    known, streams = discovery.traced_init, discovery.init_streams
    if known is None or not training or not discovery.traceable:
        return None
    # The key implementation may have changed since a deferred build began.
    keys = [key.dtype for key in abstract_keys(streams).values()]
    fits = known.dtypes[: len(streams)] == keys
    return known if fits and known.sized else None


def _traced(blueprint: BuildSpec, binding: AbstractInputs, training: bool) -> TracedFunction | None:
    discovery = blueprint.discovery
    if not discovery.traceable:
        return None
    return trace_init(blueprint.probe, discovery.init_streams, binding.arrays, training=training)


def _sized(binding: AbstractInputs) -> Iterator[AbstractInputs]:
    # Initialisers need sizes: JAX runs no operation on a symbolic one.
    if not any(is_symbolic(array.shape) for array in binding.arrays):
        return iter([binding])
    specs = [ArraySpec(drop_symbols(array.shape), array.dtype) for array in binding.arrays]
    return (choice for choice in abstract_inputs(specs) if choice.varied)


def partition_axes(blueprint: BuildSpec) -> dict[Path, tuple[Any, ...]]:
    """Returns the mesh axes that partition metadata names for variables (B5).

    Args:
        blueprint: What `infer_build_spec` found.

    Returns:
        For each dimension a name, several, or None; by path, for variables with metadata. Where
        whole variables were given without their boxes, the boxes are those that init would make.
    """
    probe, discovery = blueprint.probe, blueprint.discovery
    named = probe.flax_module.axis_names(discovery.variables)
    if named or probe.given is None or discovery.init_streams or not discovery.traceable:
        return named
    search = Search(Planner(probe, blueprint.binding.arrays, abstract=True))
    try:
        made, _ = search.init(training=True)
    except Exception:  # in any way: what was given whole needs no init that works
        return named
    return probe.flax_module.axis_names(made)


def forget_trace(discovery: ModuleSpec) -> ModuleSpec:
    """Returns a discovery without the traced init, which a built layer does not need."""
    return replace(discovery, traced_init=None)
