"""Checks of weights and files: by path, as a tree, saved and loaded (§7, §8)."""

from __future__ import annotations

import json
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer_testing.checks.build import refuse_other_types
from flaxlayer_testing.checks.needs import MODEL, Need
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.subject.layer import (
    leaf_paths,
    stored_value,
    variables_of,
    weight_paths,
)
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.subject import Subject

__all__ = [
    "check_config",
    "check_given_variables",
    "check_variables_tree",
    "check_weight_trees",
    "check_weight_values",
    "check_weights_file",
    "distinct",
]


def distinct(tree: Any) -> Any:
    """Returns a tree of the same form in which no two arrays are alike.

    It stays near the given values: far from them a module may multiply the rounding of its inputs
    by thousands, and raw Flax itself is then no closer to float64 than another compiler's program.
    """
    leaves, treedef = jax.tree_util.tree_flatten(tree)
    changed = [_moved(leaf, number) for number, leaf in enumerate(leaves)]
    return jax.tree_util.tree_unflatten(treedef, changed)


def _moved(leaf: Any, number: int) -> Any:
    if not jnp.issubdtype(leaf.dtype, jnp.inexact):
        return leaf + number if jnp.issubdtype(leaf.dtype, jnp.integer) else leaf
    steps = np.cos(np.arange(leaf.size) + 7.0 * number).reshape(leaf.shape)
    wide = np.complex128 if jnp.issubdtype(leaf.dtype, jnp.complexfloating) else np.float64
    return np.asarray(np.asarray(leaf).astype(wide) + steps / 8).astype(leaf.dtype)


@check("W2", needs=(Need.VARIABLES,))
def check_variables_tree(subject: Subject) -> Errors:
    """A tree that is loaded comes back to the bit, and is what the layer computes with."""
    layer = subject.shared_layer()
    tree = distinct(subject.expected.variables(layer))
    layer.load_flax_variables(tree)
    returned = compare_trees(tree, variables_of(layer), bitwise=True, path="variables loaded")
    handed = layer.flax_variables()
    for name in list(handed):
        handed[name] = {}
    path = "variables after their tree was emptied"
    compare_trees(tree, variables_of(layer), bitwise=True, path=path)
    rngs = subject.expected.keys(layer, training=False)
    expected, _ = subject.oracle.apply(tree, rngs, training=False)
    actual = subject.call(layer, training=False)
    path = "outputs with loaded variables"
    computed = compare_runs(subject, expected, actual, path=path)
    return largest(returned, computed)


@check("W1", needs=(Need.VARIABLES,))
def check_weight_trees(subject: Subject) -> None:
    """`params` and `state` are the trees of the Keras weights, in the form of the variables."""
    layer, trainable = subject.shared_layer(), subject.oracle.raw.trainable
    weights = weight_paths(layer)
    for name, tree in (("params", layer.params), ("state", layer.state)):
        found = {path: id(leaf) for path, leaf in leaf_paths(tree).items()}
        of_params = name == "params"
        expected = {
            path: id(variable)
            for path, variable in weights.items()
            if (path.partition("/")[0] in trainable) is of_params
        }
        if found != expected:
            raise KeepLawError(
                f"The tree `{name}` of a layer does not hold its weights.",
                expected=", ".join(sorted(expected)) or "no weights",
                found=", ".join(sorted(found)) or "no weights",
                law="W1",
            )


@check("W1", "W2", needs=(Need.VARIABLES,))
def check_weight_values(subject: Subject) -> Errors:
    """The Keras weight at a path holds the value of the module's variable there."""
    layer = subject.shared_layer()
    initial, weights = subject.expected.variables(layer), weight_paths(layer)
    tree = distinct(initial)
    named = {path: _stored(leaf) for path, leaf in leaf_paths(tree).items()}
    given = {path: weights[path] for path in named if path in weights}
    layer.load_flax_variables(tree)
    held = {path: stored_value(weight) for path, weight in given.items()}
    by_path = compare_trees(named, held, bitwise=True, path="weights by path")
    layer.load_flax_variables(initial)
    for path, weight in given.items():
        weight.assign(named[path])
    path = "variables by path"
    return largest(by_path, compare_trees(tree, variables_of(layer), bitwise=True, path=path))


def _stored(leaf: Any) -> Any:
    key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf)) if key else leaf


@check("W3", needs=(*MODEL, Need.VARIABLES))
def check_weights_file(subject: Subject) -> Errors:
    """A `.weights.h5` file gives a layer of another seed the same variables."""
    layer, other = subject.shared_layer(), subject.built_layer(seed=subject.seed + 1)
    expected = distinct(subject.expected.variables(layer))
    layer.load_flax_variables(expected)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.weights.h5"
        subject.model(layer).save_weights(path)
        subject.model(other).load_weights(path)
    what = "variables of a weights file"
    return compare_trees(expected, variables_of(other), bitwise=True, path=what)


@check("S1")
def check_config(subject: Subject) -> Errors:
    """The configuration is JSON, and makes a layer with the same initial values."""
    layer = subject.shared_layer()
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    subject.build(again)
    path = "variables from a configuration"
    if subject.oracle.raw.holds_values:
        # They are the object's own, and come with a file's weights.
        refuse_other_types(subject.oracle.stored, again, "S1")
        return {}
    return compare_trees(
        subject.expected.variables(layer), variables_of(again), bitwise=True, path=path
    )


@check("B4", needs=(Need.VARIABLES,))
def check_given_variables(subject: Subject) -> Errors:
    """A layer starts from the variables that it is given, and initialises the others."""
    initial = subject.expected.variables(subject.shared_layer())
    whole = distinct(initial)
    layer = subject.built_layer(variables=whole)
    complete = compare_trees(whole, variables_of(layer), bitwise=True, path="variables given")
    part, expected = _without_last(whole, initial)
    if subject.oracle.lacks_nothing(part):
        expected = part  # the module makes the rest anew at each call
    layer = subject.built_layer(variables=part)
    path = "variables given in part"
    return largest(complete, compare_trees(expected, variables_of(layer), bitwise=True, path=path))


def _without_last(tree: Any, initial: Any) -> tuple[Any, Any]:
    """Returns a tree without its last entry, and the tree with that entry's initial value."""
    name = max(tree)
    rest = {other: part for other, part in tree.items() if other != name}
    if not isinstance(tree[name], Mapping) or not tree[name]:
        return rest, {**rest, name: initial[name]}
    part, expected = _without_last(tree[name], initial[name])
    return {**rest, name: part}, {**rest, name: expected}
