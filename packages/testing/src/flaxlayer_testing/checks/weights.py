"""Checks of weights and files: by path, as a tree, saved and loaded (§7, §8)."""

from __future__ import annotations

import json
import pathlib
import tempfile
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from flaxlayer_testing.checks.base import Errors, largest
from flaxlayer_testing.checks.calls import run_raw
from flaxlayer_testing.compare import compare_trees
from flaxlayer_testing.subject import Subject
from flaxlayer_testing.under_test import (
    as_symbolic,
    call_rngs,
    leaf_paths,
    variables_of,
    weight_paths,
)

__all__ = [
    "check_config",
    "check_saved_model",
    "check_variables_tree",
    "check_weight_values",
    "check_weights_file",
]


def _distinct(tree: Any) -> Any:
    """Returns a tree of the same form in which no two arrays are alike."""
    leaves, treedef = jax.tree_util.tree_flatten(tree)
    changed = [_moved(leaf, number) for number, leaf in enumerate(leaves)]
    return jax.tree_util.tree_unflatten(treedef, changed)


def _moved(leaf: Any, number: int) -> Any:
    if not jnp.issubdtype(leaf.dtype, jnp.inexact):
        return leaf + number if jnp.issubdtype(leaf.dtype, jnp.integer) else leaf
    steps = np.cos(np.arange(leaf.size) + 7.0 * number).reshape(leaf.shape)
    return np.asarray(0.5 + 0.25 * steps).astype(leaf.dtype)


def check_variables_tree(subject: Subject) -> Errors:
    """A tree that is loaded comes back to the bit, and is what the layer computes with (W2)."""
    layer = subject.shared_layer()
    tree = _distinct(variables_of(layer))
    layer.load_flax_variables(tree)
    returned = compare_trees(tree, variables_of(layer), bitwise=True, path="variables loaded")
    rngs = call_rngs(layer, training=False)
    expected, _ = subject.reference.apply(tree, rngs, training=False)
    actual = subject.call(layer, training=False)
    path = "outputs with loaded variables"
    return largest(returned, compare_trees(expected, actual, bitwise=True, path=path))


def check_weight_values(subject: Subject) -> Errors:
    """The Keras weight at a path holds the value of the module's variable there (W1, W2)."""
    layer = subject.shared_layer()
    for number, variable in enumerate(weight_paths(layer).values()):
        variable.assign(_moved(np.array(variable.value), number))
    held = {path: np.array(v.value) for path, v in weight_paths(layer).items()}
    named = {path: _stored(leaf) for path, leaf in leaf_paths(variables_of(layer)).items()}
    return compare_trees(named, held, bitwise=True, path="weights by path")


def _stored(leaf: Any) -> Any:
    key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf)) if key else leaf


def check_saved_model(subject: Subject) -> Errors:
    """A `.keras` file opens to a model with the same predictions and variables (S4, W3)."""
    layer = subject.shared_layer()
    layer.load_flax_variables(_distinct(variables_of(layer)))
    expected, _ = run_raw(subject, layer, training=False)
    variables = variables_of(layer)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        subject.model(layer).save(path)
        model = keras.models.load_model(path, custom_objects=_classes(layer))
    loaded = _find_layer(model, type(layer))
    held = compare_trees(variables, variables_of(loaded), bitwise=True, path="variables of a file")
    actual = model(list(subject.inputs), training=False)
    leaves = [jax.tree_util.tree_leaves(tree) for tree in (expected, actual)]
    return largest(held, compare_trees(*leaves, bitwise=True, path="outputs of a loaded model"))


def _classes(layer: Any) -> dict[str, Any]:
    return {type(layer).__name__: type(layer)}


def _find_layer(model: Any, kind: type) -> Any:
    return next(layer for layer in model.layers if isinstance(layer, kind))


def check_weights_file(subject: Subject) -> Errors:
    """A `.weights.h5` file gives a layer of another seed the same variables (W3)."""
    layer, other = subject.shared_layer(), subject.built_layer(seed=subject.seed + 1)
    layer.load_flax_variables(_distinct(variables_of(layer)))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.weights.h5"
        subject.model(layer).save_weights(path)
        subject.model(other).load_weights(path)
    expected, actual = variables_of(layer), variables_of(other)
    return compare_trees(expected, actual, bitwise=True, path="variables of a weights file")


def check_config(subject: Subject) -> Errors:
    """The configuration is JSON, and makes a layer with the same initial values (S1)."""
    layer = subject.shared_layer()
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    again(*as_symbolic(subject.inputs), **as_symbolic(dict(subject.arguments)))
    path = "variables from a configuration"
    return compare_trees(variables_of(layer), variables_of(again), bitwise=True, path=path)
