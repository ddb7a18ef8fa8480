"""Initial values: exactly those of `Module.init`, without running the module on inputs (B2).

A traced init is cut down to what the variables need, which is their initialisers, and that is
evaluated operation by operation: each distinct initialiser is compiled once, and the bits are those
of an eager init.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import jax
import jax.numpy as jnp

from flaxlayer_core.compat.private_jax import outside_traces
from flaxlayer_core.discovery.build import BuildSpec, ones
from flaxlayer_core.discovery.module_call import InitTrace, abstract_keys, trace_init
from flaxlayer_core.discovery.search import infer_init_form
from flaxlayer_core.discovery.sizes import NoSizeFitsError, first_that_fits
from flaxlayer_core.jaxprs.traced import TracedFunction, held_against
from flaxlayer_core.random.keys import init_rngs
from flaxlayer_core.shapes import (
    AbstractInputs,
    ArraySpec,
    abstract_inputs,
    drop_symbols,
    is_symbolic,
)
from flaxlayer_core.trees.forms import holds_forms, is_form
from flaxlayer_core.trees.matching import describe_variable, match_given, refuse_given
from flaxlayer_core.trees.overlays import replace_leaves
from flaxlayer_core.trees.paths import flatten_with_paths
from flaxlayer_core.trees.variable_layout import placeholder
from flaxlayer_core.typing import Array, MeshAxes, Path, PyTree, Shaped

__all__ = ["initial_variables", "partition_axes"]


def initial_variables(
    build_spec: BuildSpec,
    seed: int,
    *,
    trace: InitTrace | None = None,
    values: Sequence[Shaped] | None = None,
    shardings: Mapping[Path, jax.sharding.Sharding] = MappingProxyType({}),
) -> dict[str, PyTree]:
    """Returns exactly the values of `Module.init` with keys derived from a seed (B2).

    Inputs stay abstract as long as no value depends on one; else init runs on the inputs at hand,
    or on ones of the right dtype.

    Args:
        build_spec: What `infer_build_spec` found.
        seed: The layer's seed.
        trace: The traced init that `infer_build_spec` found on the way; None to trace it anew.
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
    >>> method = MethodSignature.from_method(module, None)
    >>> spec = ArraySpec((None, 3), np.dtype("float32"))
    >>> call = ModuleCall(module, method, method, partition((spec,), {})[1])
    >>> ours = initial_variables(infer_build_spec(call, [spec])[0], 7)
    >>> raw = nn.Dense(2).init(init_rngs(7, ["params"]), np.ones((1, 3), np.float32))
    >>> bool((ours["params"]["kernel"] == raw["params"]["kernel"]).all())
    True

    ```
    """
    spec = build_spec.spec
    # Inside a trace the values must be values all the same (B3).
    with outside_traces():
        given = _given_values(build_spec, shardings)
        missing = [path for path in spec.layout.paths if path not in given]
        if not missing:
            return replace_leaves(spec.variables, given)
        _refuse_valueless(build_spec, missing)
        request = _Request(build_spec, frozenset(missing), seed, trace, values, shardings)
        made = _made(request)
    leaves = dict(flatten_with_paths(dict(spec.variables))[0])
    filled = {path: _formed(made.get(path), leaves[path]) for path in missing}
    return replace_leaves(spec.variables, {**given, **filled})


def _given_values(
    build_spec: BuildSpec, shardings: Mapping[Path, jax.sharding.Sharding]
) -> dict[Path, Array]:
    spec = build_spec.spec
    fitted, _ = match_given(spec.variables, build_spec.call.given_tree())
    # Copied once: Keras's trainer donates what a variable holds, and the user's arrays live on.
    return {
        path: _copied(leaf, shardings.get(path))
        for path, leaf in fitted.items()
        if not is_form(leaf)
    }


def _copied(leaf: Shaped, sharding: jax.sharding.Sharding | None) -> jax.Array:
    if sharding is None or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jnp.array(leaf)
    # B5: no device holds the whole of it on the way.
    placed: jax.Array = jax.device_put(leaf, sharding, may_alias=False)
    return jnp.copy(placed) if isinstance(leaf, jax.Array) else placed  # JAX aliases its own


def _refuse_valueless(build_spec: BuildSpec, missing: Sequence[Path]) -> None:
    call = build_spec.call
    absent = [path for path in missing if path in call.flax_module.facts.valueless]
    if absent:
        leaves = dict(flatten_with_paths(dict(build_spec.spec.variables))[0])
        raise refuse_given(
            call.title,
            expected=["values for all variables of a module that has none itself"],
            found=[f"no value for {describe_variable(path, leaves[path])}" for path in absent],
            fix="Give variables=, or the module itself in place of the result of nnx.eval_shape.",
        )


def _formed(made: PyTree, wanted: PyTree) -> Array:
    # Of another shape, or unknown to init: only the form of what was given once is known.
    if made is not None and made.shape == wanted.shape:
        return made
    return placeholder(wanted)


@dataclass(frozen=True)
class _Request:
    """What is to be initialised, and from what."""

    build_spec: BuildSpec
    missing: frozenset[Path]
    seed: int
    trace: InitTrace | None
    values: Sequence[Array] | None
    shardings: Mapping[Path, jax.sharding.Sharding]


def _made(request: _Request) -> dict[Path, Array]:
    spec = request.build_spec.spec
    if not spec.init_streams and holds_forms(request.build_spec.call.given):
        return {}  # where not even the form can be initialised
    made: dict[Path, Array] = {}
    for training in spec.init_modes:
        made = {**_init(request, training=training), **made}
    return made


def _init(request: _Request, *, training: bool) -> dict[Path, Array]:
    def trace(inputs: AbstractInputs) -> tuple[AbstractInputs, InitTrace | None]:
        return inputs, _known(request, training) or _traced(request, inputs, training)

    try:
        # A size may not fit the module.
        found = first_that_fits(
            _sized(request.build_spec.inputs), trace, passes_over=lambda error, inputs: True
        )
    except NoSizeFitsError as error:
        failure = error.last
    else:
        return _values_for(request, *found, training=training)
    raise failure


def _values_for(
    request: _Request, inputs: AbstractInputs, traced: InitTrace | None, *, training: bool
) -> dict[Path, Array]:
    call, streams = request.build_spec.call, request.build_spec.spec.init_streams
    paths: list[Path] = []
    if traced is not None:
        traced, paths = _cut(traced, request.missing)
        if call.bound is not None:
            traced.check_made(call.bound, whole=traced.needs(1))
    if traced is not None and not traced.needs(1):
        rngs = init_rngs(request.seed, streams) if traced.needs(0) else abstract_keys(streams)
        shardings = request.shardings
        places = _places(traced.result, paths, shardings) if shardings else None
        leaves = traced.evaluate(rngs, list(inputs.arrays), shardings=places)
        return dict(zip(paths, leaves, strict=True))
    values = request.values
    if values is None or any(isinstance(value, jax.core.Tracer) for value in values):
        values = ones(inputs, call.bound)
    with held_against(call.bound, title=call.title):
        variables = call.init(init_rngs(request.seed, streams), values, training=training)
    return dict(flatten_with_paths(variables)[0])


def _cut(traced: TracedFunction, missing: frozenset[Path]) -> tuple[TracedFunction, list[Path]]:
    # B6: what was given is not made first.
    paths = [path for path, _ in flatten_with_paths(traced.result)[0]]
    wanted = {index for index, path in enumerate(paths) if path in missing}
    return traced.select(wanted), [paths[index] for index in sorted(wanted)]


def _places(
    leaves: Sequence[Shaped], paths: Sequence[Path], shardings: Mapping[Path, jax.sharding.Sharding]
) -> list[PyTree]:
    keys = [jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves]
    # What is stored of a key has a dimension more.
    return [None if key else shardings.get(path) for path, key in zip(paths, keys, strict=True)]


def _known(request: _Request, training: bool) -> InitTrace | None:
    # What was traced already, unless it has symbolic sizes in it or keys of another kind.
    known, spec = request.trace, request.build_spec.spec
    if known is None or training is not spec.init_modes[0] or not spec.traceable:
        return None
    # The key implementation may have changed since a deferred build began.
    keys = [key.dtype for key in abstract_keys(spec.init_streams).values()]
    fits = known.dtypes[: len(keys)] == keys
    return known if fits and known.sized else None


def _traced(request: _Request, inputs: AbstractInputs, training: bool) -> InitTrace | None:
    build_spec = request.build_spec
    if not build_spec.spec.traceable:
        return None
    streams = build_spec.spec.init_streams
    return trace_init(build_spec.call, streams, inputs.arrays, training=training)


def _sized(inputs: AbstractInputs) -> Iterator[AbstractInputs]:
    # Initialisers need sizes: JAX runs no operation on a symbolic one.
    if not any(is_symbolic(array.shape) for array in inputs.arrays):
        return iter([inputs])
    specs = [ArraySpec(drop_symbols(array.shape), array.dtype) for array in inputs.arrays]
    return (choice for choice in abstract_inputs(specs) if choice.resized)


def partition_axes(build_spec: BuildSpec) -> dict[Path, MeshAxes]:
    """Returns the mesh axes that partition metadata names for variables (B5).

    Args:
        build_spec: What `infer_build_spec` found.

    Returns:
        For each dimension a name, several, or None; by path, for variables with metadata. Where
        whole variables were given without their boxes, the boxes are those that init would make.
    """
    call, spec = build_spec.call, build_spec.spec
    named = call.flax_module.facts.axis_names(spec.variables)
    if named or call.given is None or spec.init_streams or not spec.traceable:
        return named
    try:
        made = infer_init_form(call, build_spec.inputs.arrays)
    except Exception:  # in any way: what was given whole needs no init that works
        return named
    return call.flax_module.facts.axis_names(made)
