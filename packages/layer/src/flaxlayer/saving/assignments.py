"""Values for a layer's variables from trees of other making (W2)."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from flaxlayer.backends import current_backend
from flaxlayer.saving.checkpoints.checkpoint_format import Check, Fit
from flaxlayer.saving.checkpoints.registry import read_fitting, state_variables
from flaxlayer.typing import Array, Json, PyTree, Variables, Write
from flaxlayer.weights.sharding import division_of, place_for
from flaxlayer.weights.value_kinds import cast_value, find_loss
from flaxlayer.weights.variables import FlaxWeights
from flaxlayer_core import (
    CollectionPolicy,
    FlaxModule,
    Path,
    VariableLayout,
    VariableSpec,
    count_bytes,
    flatten_with_paths,
    format_path,
    is_form,
    match_variables,
    normalize_variables,
    refuse_given,
)

__all__ = ["checked_assignments", "collections_of"]


def checked_assignments(
    weights: FlaxWeights,
    tree: PyTree,
    flax_module: FlaxModule,
    policy: CollectionPolicy,
    *,
    title: str,
) -> Iterator[Write]:
    """Pairs each variable with the value that a tree has for it, all checked (C4, W2).

    Args:
        weights: The variables of the layer.
        tree: Collections of arrays, a `TrainState`, or the path of a checkpoint; parts may be
            missing.
        flax_module: The module behind core's protocol, which knows what is stored beside its own.
        policy: Roles by name; transient collections are left out.
        title: What to name in an error.

    Returns:
        Assignments that cannot fail for the shape; each value is made when it is asked for.

    Raises:
        MatchVariablesError: If a path is unknown or a shape differs.
        ReadVariablesError: If a checkpoint cannot be read.
    """
    expected = weights.layout.unflatten(weights.jax_values())
    specs = {spec.path: spec for spec in weights.layout.specs}
    stored = {path[0] for path in specs}
    ignored = weights.layout.transient.union(policy.transient).difference(stored)

    def find_places(found: object) -> dict[Path, Array]:
        raw = normalize_variables(found, title=title)
        given = _wrap_keys(flax_module.stored_variables(raw), weights.layout)
        _refuse_lost(given, ignored, title)
        fitted = match_variables(expected, given, ignored=ignored, title=title)
        _refuse_losses(fitted, specs, title)
        return fitted

    def check(found: object) -> Fit:
        variables = weights.by_path()
        divided = {
            id(leaf): sharding
            for path, leaf in find_places(found).items()
            if (sharding := division_of(variables[path])) is not None
        }
        return Fit(sum(map(count_bytes, specs.values())), divided)

    return _assignments(weights, find_places(_collections(tree, check)))


def _assignments(weights: FlaxWeights, fitted: dict[Path, Array]) -> Iterator[Write]:
    to_backend = current_backend().to_backend
    specs = {spec.path: spec for spec in weights.layout.specs}
    variables = weights.by_path()
    while fitted:  # B6: what a file held is let go of, one by one
        path, leaf = fitted.popitem()
        # Copied: Keras's trainer donates what a variable holds, and the caller's arrays live on.
        variable = variables[path]
        value = cast_value(specs[path].store(leaf), variable.dtype)
        yield variable, to_backend(jnp.array(place_for(variable, value)))


def _refuse_losses(
    fitted: Mapping[Path, Array], specs: Mapping[Path, VariableSpec], title: str
) -> None:
    losses = {path: loss for path, leaf in fitted.items() if (loss := find_loss(leaf, specs[path]))}
    if losses:
        raise refuse_given(
            title,
            expected=[f"{format_path(path)}: {specs[path]}" for path in losses],
            found=[f"{format_path(path)}: {loss}" for path, loss in losses.items()],
            fix="Give values of the kind that the module has: JAX would cut them in silence.",
        )


def _refuse_lost(given: Variables, ignored: Collection[str], title: str) -> None:
    # What `perturb` finds is part of what a call computes; what was sown is a record of one.
    if "perturbations" not in ignored:
        return
    leaves = flatten_with_paths({"perturbations": given.get("perturbations", {})})[0]
    arrays = [(path, leaf) for path, leaf in leaves if not is_form(leaf)]
    lost = [format_path(path) for path, leaf in arrays if jnp.any(jnp.asarray(leaf) != 0)]
    if lost:
        raise refuse_given(
            title,
            expected=["values that the layer stores"],
            found=[f"{path}: it has no place" for path in lost],
            fix="Give them to FlaxLayer(variables=...), which then stores the collection.",
        )


def _collections(tree: PyTree, check: Check) -> Json:
    if isinstance(tree, str | os.PathLike):
        return read_fitting(tree, check)
    return collections_of(tree)


def collections_of(tree: PyTree) -> PyTree:
    """Returns the collections in what a user has of trained variables.

    Args:
        tree: Collections by name, a `TrainState`, or a module of nnx with its variables.

    Returns:
        Collections by name; anything else as it is.
    """
    if isinstance(tree, nnx.Module):
        return nnx.state(tree)
    if isinstance(tree, Mapping) or not hasattr(tree, "params"):
        return tree
    # A TrainState keeps `params` as a field of its own, and state as further fields.
    fields = {name: getattr(tree, name) for name in getattr(tree, "__dataclass_fields__", ())}
    return state_variables({"opt_state": None, **fields, "params": tree.params})


def _wrap_keys(given: Variables, layout: VariableLayout) -> dict[str, Json]:
    # C6: files have no typed PRNG keys, only their key data.
    keys = {spec.path: spec for spec in layout.specs if spec.key_impl}
    if not keys:
        return dict(given)
    pairs, treedef = flatten_with_paths(dict(given))
    leaves = [
        _wrap_key(keys[path], leaf) if path in keys and _is_key_data(keys[path], leaf) else leaf
        for path, leaf in pairs
    ]
    wrapped: dict[str, Json] = jax.tree_util.tree_unflatten(treedef, leaves)
    return wrapped


def _is_key_data(spec: VariableSpec, leaf: Array) -> bool:
    if not hasattr(leaf, "dtype") or leaf.shape != spec.shape:
        return False
    unsigned = bool(jnp.issubdtype(leaf.dtype, np.unsignedinteger))
    return unsigned and not find_loss(leaf, replace(spec, key_impl=None))


def _wrap_key(spec: VariableSpec, leaf: Array) -> Json:
    if is_form(leaf):
        return jax.eval_shape(spec.restore, leaf)
    return spec.restore(jnp.asarray(cast_value(leaf, spec.dtype)))
