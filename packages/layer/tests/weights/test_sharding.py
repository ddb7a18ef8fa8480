"""Variables under a Keras distribution over eight devices (B5)."""

import functools

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer, predict_in_processes
from flaxlayer_core import BuildModuleError, DistributeModelError

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


@pytest.mark.law("D4")
@each_kind
def test_an_axis_that_the_mesh_does_not_have_is_refused_by_name(kind):
    other = keras.distribution.DeviceMesh(SHAPE, ("batch", "tensor"), jax.devices())
    layouts = keras.distribution.LayoutMap(other)
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")
    )
    with pytest.raises(BuildModuleError, match="cannot shard 'params/body/kernel'") as caught:
        built(MODULES[kind])
    assert caught.value.expected == "the axes of the mesh, 'batch', 'tensor'"
    assert caught.value.found == "'model' in its partition metadata"
    layouts[".*body/kernel"] = (None, "tensor")  # comes first
    assert shard_shapes(params(built(MODULES[kind]))["body/kernel"]) == {(4, 2)}


@pytest.mark.law("D4")
def test_where_no_variable_is_divided_metadata_may_name_any_axis():
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=jax.devices()))
    assert shard_shapes(params(built(Net()))["body/kernel"]) == {(4, 8)}


@pytest.mark.law("D4")
def test_two_patterns_for_one_variable_are_refused_by_name():
    twice = {".*kernel": (None, "model"), ".*body/k.*": (None, "model")}
    keras.distribution.set_distribution(model_parallel(**twice))
    with pytest.raises(BuildModuleError, match="cannot shard 'params/body/kernel'") as caught:
        built(Net())
    assert all(pattern in caught.value.found for pattern in twice)


@pytest.mark.law("B5")
@pytest.mark.parametrize(
    "axes", [("model", "model"), ("batch", "model", None)], ids=["one axis twice", "too many"]
)
def test_a_layout_that_is_none_for_the_shape_is_refused_by_name(axes):
    keras.distribution.set_distribution(model_parallel(**{".*/body/kernel": axes}))
    with pytest.raises(BuildModuleError, match=r"cannot shard 'params/body/kernel'[\s\S]*\[4, 8\]"):
        built(Net())


@pytest.mark.law("D1")
@pytest.mark.parametrize("how", ["call", "fit"])
def test_a_layer_that_was_built_before_the_distribution_is_refused_by_name(how):
    model = keras.Sequential([keras.Input((4,)), FlaxLayer(Net(), name="early")])
    model.compile("sgd", "mse")
    keras.distribution.set_distribution(model_parallel())
    with pytest.raises(DistributeModelError, match="'early'") as caught:
        model(X) if how == "call" else model.fit(X, Y, verbose=0)
    assert "before a distribution was set" in caught.value.found
    assert "set_distribution before the model is made" in caught.value.fix


@pytest.mark.law("D1")
def test_a_layer_that_was_built_for_other_devices_is_refused_by_name():
    some = keras.distribution.DataParallel(devices=jax.devices()[:4])
    keras.distribution.set_distribution(some)
    layer = built(Net())
    assert layer(X).shape == (16, 1)
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=jax.devices()))
    with pytest.raises(DistributeModelError, match="variables elsewhere"):
        layer(X)


@pytest.mark.law("D3")
def test_a_file_is_read_into_shards(tmp_path, monkeypatch):
    keras.distribution.set_distribution(model_parallel())
    model = keras.Sequential([keras.Input((4,)), FlaxLayer(Net(), seed=3)])
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    made = []
    make = jax.make_array_from_callback
    monkeypatch.setattr(
        jax, "make_array_from_callback", lambda s, *rest: made.append(s) or make(s, *rest)
    )
    again = keras.models.load_model(tmp_path / "model.keras")
    other = keras.Sequential([keras.Input((4,)), FlaxLayer(Net(), seed=4)])
    other.load_weights(tmp_path / "model.weights.h5")
    given = built(Net())
    given.load_flax_variables(jax.tree.map(np.asarray, model.layers[0].flax_variables()))
    assert made.count((4, 8)) == 3
    for loaded in (again.layers[0], other.layers[0], given):
        assert shard_shapes(params(loaded)["body/kernel"]) == {(4, 2)}
        for ours, theirs in zip(loaded.weights, model.layers[0].weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.law("D2")
@pytest.mark.parametrize("rows", [5, 16], ids=["uneven", "even"])
def test_rows_that_the_devices_do_not_divide_are_predicted(rows):
    expected = keras.Sequential([keras.Input((4,)), FlaxLayer(Net(), seed=3)]).predict(X, verbose=0)
    keras.distribution.set_distribution(model_parallel())
    model = keras.Sequential([keras.Input((4,)), FlaxLayer(Net(), seed=3)])
    found = predict_in_processes(model, X[:rows], batch_size=3, verbose=0)
    np.testing.assert_allclose(found, expected[:rows], rtol=1e-5, atol=1e-6)
    function = model.predict_function
    predict_in_processes(model, X, verbose=0)
    assert model.predict_function is function  # as Keras made it


@each_kind
def test_a_summary_tells_what_variables_are_divided_along(kind):
    keras.distribution.set_distribution(model_parallel())
    layer = FlaxLayer(MODULES[kind], name="net")
    layer(X)
    texts = []
    layer.summary(print_fn=texts.append)
    divided = [line for line in texts[0].splitlines() if "'model'" in line]
    assert len(divided) == 1
    assert "kernel" in divided[0]
    assert divided[0].endswith("(None, 'model')")
