"""Short programs for laws that no check of the list reaches; each raises if its law is broken."""

from __future__ import annotations

import copy

import flax.linen as nn
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from conformance.zoo.entry import X
from flaxlayer import FlaxLayer
from flaxlayer_core import (
    DecodeModuleError,
    MatchVariablesError,
    Role,
    StateStructureError,
    merge_collections,
    split_collections,
)
from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.compare.tolerances import across_compilers
from flaxlayer_testing.compare.trees import compare_trees

__all__ = [
    "Branches",
    "Coder",
    "Grows",
    "Kept",
    "refuses_other_code",
    "refuses_what_is_too_deep",
]


def same(expected, actual, path):
    """Raises where two trees differ: in a bit, or by more than another compiler may."""
    backend = current_backend()
    expected, actual = backend.to_arrays(expected), backend.to_arrays(actual)
    bounds = None if backend.shares_programs else across_compilers({"float32"})
    compare_trees(expected, actual, bitwise=bounds is None, tolerances=bounds, path=path)


class Coder(nn.Module):
    """An autoencoder of three methods."""

    def setup(self):
        self.inner, self.outer = nn.Dense(3), nn.Dense(4)

    def encode(self, x):
        return self.inner(x)

    def decode(self, code):
        return self.outer(code)

    def __call__(self, x):
        return self.decode(self.encode(x))


class Grows(nn.Module):
    """State that takes the shape of the input."""

    @nn.compact
    def __call__(self, x):
        last = self.variable("state", "last", jnp.zeros_like, x)
        first = self.variable("state", "first", jnp.zeros, ())
        first.value, last.value = x.sum(), x
        return x


class Branches(nn.Module):
    """Python that branches on values, which no trace can follow."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(x) if float(x.sum()) > 0 else x[:, :2]


class Kept(nn.Module):
    """Params, state and noise, to be kept by every route."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(nn.Dense(3)(x))
        return nn.Dropout(0.5, deterministic=not train)(x)


def partition_is_undone_by_merge():
    layer = FlaxLayer(Kept())
    layer(X)
    variables = layer.flax_variables()
    roles = {"params": Role.TRAINABLE, "batch_stats": Role.STATE}
    same(variables, merge_collections(split_collections(variables, roles)), "merged collections")


def nothing_is_half_written():
    layer = FlaxLayer(Grows())
    layer(X)
    before = layer.flax_variables()
    with pytest.raises(StateStructureError):
        layer(np.ones((3, 4), np.float32))
    same(before, layer.flax_variables(), "variables after refused state")


def methods_share_weights():
    layer = FlaxLayer(Coder())
    layer(X)
    expected = Coder().apply(layer.flax_variables(), X, method="encode")
    same(expected, layer.method("encode")(X), "outputs of a method layer")
    named = FlaxLayer(Coder(), method="encode", init_method="__call__")
    named(X)
    expected = Coder().apply(named.flax_variables(), X, method=Coder.encode)
    same(expected, named(X), "outputs of a named method")


def keras_masks_arrive(masked):
    ids = np.array([[1, 0]])
    embedding = keras.layers.Embedding(5, 4, mask_zero=True)
    layer = FlaxLayer(masked)
    embedded = embedding(ids)
    actual = layer(embedded)
    array = keras.ops.convert_to_numpy(embedded)
    expected = masked.apply(layer.flax_variables(), array, ids != 0)
    same(expected, actual, "outputs under a mask")
    if keras.ops.convert_to_numpy(actual._keras_mask).tolist() != (ids != 0).tolist():
        raise AssertionError("the mask does not travel on")


def branches_run_op_by_op():
    layer = FlaxLayer(Branches())
    layer(np.abs(X))
    for x in (np.abs(X), -np.abs(X)):
        same(Branches().apply(layer.flax_variables(), x), layer(x), "outputs of a branch")


def a_policy_casts_no_state():
    layer = FlaxLayer(Kept(), dtype="mixed_bfloat16")
    outputs = layer(X, training=False)
    dtype = keras.backend.standardize_dtype(outputs.dtype)
    found = {dtype, *(v.dtype for v in layer.weights if "batch_stats" in v.path)}
    if found != {"bfloat16", "float32"}:
        raise AssertionError(f"outputs in bfloat16 and state in float32, but found {found}")


def builds_are_alike_anywhere():
    layers = [FlaxLayer(Kept(), seed=1) for _ in range(4)]
    layers[0](X)
    layers[1].build((None, 4))
    layers[2](keras.Input((4,)))
    backend = current_backend()
    backend.compile(layers[3])(backend.to_backend(X))
    for layer in layers[1:]:
        same(layers[0].flax_variables(), layer.flax_variables(), "variables of another build")


def given_variables_are_completed():
    given = {"params": {"Dense_0": {"kernel": np.full((4, 3), 0.5, np.float32)}}}
    layer = FlaxLayer(Kept(), variables=given)
    layer(X)
    kernel = layer.flax_variables()["params"]["Dense_0"]["kernel"]
    same(given["params"]["Dense_0"]["kernel"], kernel, "a given kernel")
    with pytest.raises(MatchVariablesError):
        FlaxLayer(Kept(), variables={"params": {"Dense_1": {}, "other": np.ones(3)}})(X)


def refuses_other_code():
    config = FlaxLayer(Coder()).get_config()
    config["module"]["root"] = {"$type": "function", "name": "os:system"}
    with pytest.raises(DecodeModuleError):
        FlaxLayer.from_config(config)


def refuses_what_is_too_deep():
    config = FlaxLayer(Coder()).get_config()
    for _ in range(400):
        config["module"]["root"] = [config["module"]["root"]]
    with pytest.raises(DecodeModuleError):
        FlaxLayer.from_config(config)


def copies_are_alike():
    layer = FlaxLayer(Kept())
    model = keras.Sequential([keras.Input((4,)), layer])
    expected = model(X)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    same(expected, clone(X), "outputs of a cloned model")
    same(expected, copy.deepcopy(model)(X), "outputs of a copied model")
    again = keras.models.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    same(expected, again(X), "outputs of a model from JSON")
