"""Variables under a Keras distribution over eight devices (B5)."""

import functools

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import BuildModuleError

X = np.linspace(-1, 1, 64, dtype="float32").reshape(16, 4)
Y = np.cos(X[:, :1]).astype("float32")
SHAPE = (2, 4)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, training=False):
        named = nn.with_partitioning(nn.initializers.lecun_normal(), (None, "model"))
        x = nn.Dense(8, kernel_init=named, name="body")(x)
        x = nn.BatchNorm(use_running_average=not training)(x)
        x = nn.Dropout(0.5, deterministic=not training)(nn.relu(x))
        return nn.Dense(1, name="head")(x)


class NnxNet(nnx.Module):
    def __init__(self, *, rngs):
        named = nnx.with_partitioning(nnx.initializers.lecun_normal(), (None, "model"))
        self.body = nnx.Linear(4, 8, kernel_init=named, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, x):
        return self.head(self.dropout(nnx.relu(self.norm(self.body(x)))))


class Logical(nn.Module):
    @nn.compact
    def __call__(self, x):
        init = nn.with_logical_partitioning(nn.initializers.ones, ("embed", "hidden"))
        return nn.Dense(8, kernel_init=init)(x)


MODULES = {"linen": Net(), "nnx": functools.partial(NnxNet)}
each_kind = pytest.mark.parametrize("kind", MODULES)


def mesh():
    return keras.distribution.DeviceMesh(SHAPE, ("batch", "model"), jax.devices())


def model_parallel(**layouts):
    layout_map = keras.distribution.LayoutMap(mesh())
    for pattern, axes in layouts.items():
        layout_map[pattern] = axes
    return keras.distribution.ModelParallel(layout_map=layout_map, batch_dim_name="batch")


@pytest.fixture(autouse=True)
def alone():
    yield
    keras.distribution.set_distribution(None)


def built(module, **kwargs):
    layer = FlaxLayer(module, seed=3, **kwargs)
    layer.build((None, 4))
    return layer


def params(layer):
    return {variable.path.partition("/params/")[2]: variable for variable in layer.weights}


def shard_shapes(variable):
    return {shard.data.shape for shard in variable.value.addressable_shards}


@pytest.mark.law("B5")
@each_kind
def test_metadata_says_where_a_weight_goes(kind):
    alone = built(MODULES[kind])
    keras.distribution.set_distribution(model_parallel())
    layer = built(MODULES[kind])
    assert shard_shapes(params(layer)["body/kernel"]) == {(4, 2)}
    assert shard_shapes(params(layer)["head/kernel"]) == {(8, 1)}
    for ours, theirs in zip(layer.weights, alone.weights, strict=True):
        assert ours.path.split("/")[1:] == theirs.path.split("/")[1:]
        # B2 holds up to the fusions of a program that is compiled as a whole.
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.law("B4")
@pytest.mark.parametrize("boxed", [True, False], ids=["boxed", "plain"])
def test_metadata_says_where_a_given_weight_goes(boxed):
    given = MODULES["linen"].init(jax.random.key(0), np.ones((1, 4), np.float32))
    given = given if boxed else nn.unbox(given)
    keras.distribution.set_distribution(model_parallel())
    layer = built(MODULES["linen"], variables=given)
    assert shard_shapes(params(layer)["body/kernel"]) == {(4, 2)}
    assert shard_shapes(params(layer)["head/kernel"]) == {(8, 1)}
    for ours, theirs in zip(
        jax.tree.leaves(layer.flax_variables()), jax.tree.leaves(given), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    for variable in layer.weights:
        variable.value.delete()
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(given))


@pytest.mark.law("B5")
@each_kind
def test_the_layout_map_comes_first(kind):
    keras.distribution.set_distribution(
        model_parallel(**{".*/body/kernel": ("model", None), ".*/head/kernel": ("model", None)})
    )
    layer = built(MODULES[kind])
    assert shard_shapes(params(layer)["body/kernel"]) == {(1, 8)}
    assert shard_shapes(params(layer)["head/kernel"]) == {(2, 1)}


@pytest.mark.law("B5")
def test_logical_names_go_through_the_axis_rules():
    keras.distribution.set_distribution(model_parallel())
    with nn.logical_axis_rules([("hidden", "model"), ("embed", None)]):
        layer = built(Logical())
    assert shard_shapes(params(layer)["Dense_0/kernel"]) == {(4, 2)}


@pytest.mark.law("B5")
def test_data_parallel_keeps_every_weight_whole():
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=jax.devices()))
    layer = built(Net())
    for variable in layer.weights:
        assert shard_shapes(variable) == {tuple(variable.shape)}
        assert len(variable.value.addressable_shards) == 8


@pytest.mark.law("B5")
@each_kind
def test_calls_and_training_are_those_of_one_device(kind):
    def trained():
        model = keras.Sequential([keras.Input((4,)), FlaxLayer(MODULES[kind], seed=3)])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        before = np.asarray(model(X))
        history = model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
        return model, before, history.history["loss"]

    _, expected, losses = trained()
    keras.distribution.set_distribution(model_parallel())
    model, actual, found = trained()
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found, losses, rtol=1e-4)
    assert shard_shapes(params(model.layers[0])["body/kernel"]) == {(4, 2)}


@pytest.mark.law("B5")
def test_a_size_that_the_axis_does_not_divide_is_refused():
    keras.distribution.set_distribution(model_parallel(**{".*/head/kernel": (None, "model")}))
    with pytest.raises(BuildModuleError, match=r"cannot shard 'params/head/kernel'[\s\S]*\[8, 1\]"):
        built(Net())
