"""nnx modules as Keras layers, beside plain NNX."""

import copy
import functools
import pickle
import warnings

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import pytest
from flax import nnx

from flaxlayer import CollectionPolicy, FlaxLayer
from flaxlayer_core import EncodeModuleError, variable_value
from packages.layer.tests.needs import needs_nnx

pytestmark = needs_nnx

X = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
Y = np.cos(X[:, :1]).astype("float32")


class Net(nnx.Module):
    def __init__(self, width=4, *, rngs):
        self.width = width
        self.dense = nnx.Linear(3, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.dropout = nnx.Dropout(0.25, rngs=rngs)
        self.head = nnx.Linear(width, 1, rngs=rngs)

    def __call__(self, x):
        return self.head(self.dropout(nnx.relu(self.norm(self.dense(x)))))

    def features(self, x):
        return nnx.relu(self.norm(self.dense(x)))


class Told(Net):
    def get_config(self):
        return {"width": self.width}


def make(cls=Net):
    return cls(4, rngs=nnx.Rngs(params=0, dropout=1))


def raw_step(module, x, rngs, *, training):
    (module.train if training else module.eval)()
    nnx.reseed(module, policy="match_shape", **rngs)
    return nnx.jit(lambda m, x: m(x))(module, x)


@pytest.mark.law("A6")
@pytest.mark.parametrize(
    "given", [make, lambda: functools.partial(Net, 4)], ids=["object", "partial"]
)
def test_calls_have_the_bits_of_plain_nnx_over_steps(given, same_results):
    layer = FlaxLayer(given(), seed=3)
    layer.build((None, 3))
    raw = layer.to_module()
    for training in (True, False, True):
        rngs = layer.peek_rngs(training=training)
        assert set(rngs) == ({"dropout"} if training else set())
        expected = raw_step(raw, X, rngs, training=training)
        same_results(layer(X, training=training), expected)
        mean = layer.state["batch_stats"]["norm"]["mean"]
        same_results(mean.value, variable_value(raw.norm.mean))


@pytest.mark.law("B2")
def test_a_layer_that_makes_its_module_has_the_constructor_s_values():
    layer = FlaxLayer(functools.partial(Net, 4), seed=9)
    layer.build((None, 3))
    raw = Net(4, rngs=nnx.Rngs(**layer.init_rngs()))
    np.testing.assert_array_equal(
        layer.params["params"]["dense"]["kernel"], variable_value(raw.dense.kernel)
    )


@pytest.mark.law("W1")
def test_weights_have_the_paths_of_the_attributes():
    layer = FlaxLayer(make(), name="net")
    layer.build((None, 3))
    assert [v.path for v in layer.trainable_variables] == [
        "net/params/dense/bias",
        "net/params/dense/kernel",
        "net/params/head/bias",
        "net/params/head/kernel",
        "net/params/norm/bias",
        "net/params/norm/scale",
    ]
    assert {v.path for v in layer.non_trainable_variables if v.path.startswith("net/")} >= {
        "net/batch_stats/norm/mean",
        "net/batch_stats/norm/var",
    }


@pytest.mark.law("B4")
def test_fit_leaves_the_arrays_of_the_given_object_alone():
    module = make()
    before = np.array(variable_value(module.dense.kernel))
    model = keras.Sequential([FlaxLayer(module)])
    model.compile("sgd", "mse")
    model.fit(X, Y, epochs=2, verbose=0)
    np.testing.assert_array_equal(variable_value(module.dense.kernel), before)
    assert (np.asarray(model.layers[0].params["params"]["dense"]["kernel"]) != before).any()


def test_three_steps_of_fit_are_those_of_optax():
    module = make(Net)
    module.dropout.rate = 0.0
    layer = FlaxLayer(module, seed=1)
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)

    raw = make(Net)
    raw.dropout.rate = 0.0
    raw.train()
    optimizer = nnx.Optimizer(raw, optax.sgd(0.1), wrt=nnx.Param)
    for _ in range(3):
        loss = lambda m: jnp.mean((m(X) - Y) ** 2)  # noqa: E731
        optimizer.update(raw, nnx.grad(loss)(raw))
    trained = layer.to_module()
    for ours, theirs in zip(
        jax.tree.leaves(nnx.state(trained, nnx.Param)),
        jax.tree.leaves(nnx.state(raw, nnx.Param)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        variable_value(trained.norm.mean), variable_value(raw.norm.mean), rtol=1e-5, atol=1e-6
    )


@pytest.mark.law("A3")
def test_another_method_shares_the_weights():
    layer = FlaxLayer(make())
    layer(X)
    raw = layer.to_module()
    raw.eval()
    np.testing.assert_allclose(layer.method("features")(X), raw.features(X), rtol=1e-6)


def lora_net(rngs):
    return nnx.LoRALinear(3, 1, lora_rank=2, rngs=rngs)


@pytest.mark.law("C2")
def test_lora_params_can_be_all_that_trains():
    policy = CollectionPolicy(trainable=("LoRAParam",), state=("params",))
    layer = FlaxLayer(lora_net, collections=policy)
    model = keras.Sequential([layer])
    model.compile("sgd", "mse")
    model(X)
    before = layer.flax_variables()
    assert {v.path.partition(layer.name)[2].split("/")[1] for v in layer.trainable_variables} == {
        "LoRAParam"
    }
    model.fit(X, Y, epochs=1, verbose=0)
    after = layer.flax_variables()
    np.testing.assert_array_equal(after["params"]["kernel"], before["params"]["kernel"])
    assert any(
        (left != right).any()
        for left, right in zip(
            jax.tree.leaves(after["LoRAParam"]), jax.tree.leaves(before["LoRAParam"]), strict=True
        )
    )


@pytest.mark.law("C2")
def test_a_decode_cache_is_state_that_inference_writes():
    attention = nnx.MultiHeadAttention(2, 4, 4, decode=True, rngs=nnx.Rngs(0))
    attention.init_cache((1, 5, 4))
    layer = FlaxLayer(attention)
    tokens = np.random.default_rng(0).normal(size=(5, 1, 1, 4)).astype("float32")
    layer.build((1, 1, 4))
    raw = layer.to_module()
    raw.eval()
    for token in tokens:
        np.testing.assert_allclose(layer(token), raw(token), rtol=1e-5, atol=1e-6)
    assert int(layer.state["cache"]["cache_index"].value) == 5


@pytest.mark.law("S4")
@pytest.mark.parametrize(
    "given",
    [lambda: make(Told), lambda: functools.partial(Net, 4)],
    ids=["get_config", "partial"],
)
def test_a_model_saves_and_loads(given, tmp_path):
    model = keras.Sequential([keras.Input((3,)), FlaxLayer(given(), seed=2)])
    model.compile("sgd", "mse")
    model.fit(X, Y, epochs=1, verbose=0)
    expected = model.predict(X, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), expected)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin.predict(X, verbose=0), expected)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone.predict(X, verbose=0), expected)


class Noisy(nnx.Module):
    def __init__(self, *, rngs):
        self.rngs = rngs
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(x) + jax.random.normal(self.rngs.noise(), x.shape)

    def get_config(self):
        return {}


@pytest.mark.law("R2")
@pytest.mark.law("S4")
@pytest.mark.parametrize("streams", [["default"], ["dropout", "noise", "params"]])
def test_a_loaded_object_draws_what_the_stored_one_draws(streams, tmp_path):
    rngs = nnx.Rngs(**dict.fromkeys(streams, 0))
    model = keras.Sequential([keras.Input((3,)), FlaxLayer(Noisy(rngs=rngs), seed=3)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    again = pickle.loads(pickle.dumps(loaded))
    assert again.get_config() == loaded.get_config() == model.get_config()
    expected = model(X, training=True)
    for other in (loaded, again):
        np.testing.assert_array_equal(other(X, training=True), expected)


@pytest.mark.law("S1")
def test_an_object_that_cannot_be_made_again_says_what_to_do(tmp_path):
    model = keras.Sequential([keras.Input((3,)), FlaxLayer(make())])
    with pytest.raises(EncodeModuleError, match=r"functools\.partial\(Net, \.\.\.\)"):
        model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    other = keras.Sequential([keras.Input((3,)), FlaxLayer(functools.partial(Net, 4), seed=5)])
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other(X), model(X))


@pytest.mark.law("W2")
def test_trees_go_out_and_in():
    layer, other = FlaxLayer(make(), seed=1), FlaxLayer(functools.partial(Net, 4), seed=2)
    layer(X, training=True)
    other.build((None, 3))
    other.load_flax_variables(layer.flax_variables())
    np.testing.assert_array_equal(other(X), layer(X))


@pytest.mark.law("C7")
def test_sown_values_are_returned():
    class Sows(nnx.Module):
        def __call__(self, x):
            self.sow(nnx.Intermediate, "double", 2 * x)
            return x

    y, sown = FlaxLayer(Sows(), return_sown=("intermediates",))(X)
    np.testing.assert_array_equal(jax.tree.leaves(sown["intermediates"])[0], 2 * y)


@pytest.mark.law("B3")
def test_a_functional_model_with_unknown_dimensions():
    inputs = keras.Input((None, 3))
    outputs = FlaxLayer(functools.partial(nnx.Linear, 3, 2))(inputs)
    assert outputs.shape == (None, None, 2)
    model = keras.Model(inputs, outputs)
    assert model(np.ones((2, 5, 3), "float32")).shape == (2, 5, 2)


@pytest.mark.law("A6")
def test_an_nnx_call_is_compiled_once():
    traces = []

    class Traced(nnx.Module):
        def __call__(self, x):
            traces.append(1)
            return x

    layer = FlaxLayer(Traced())
    layer(X)
    before = len(traces)
    for _ in range(3):
        layer(X)
    assert len(traces) <= before
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(X)


@pytest.mark.law("A6")
def test_logical_axis_rules_are_part_of_the_key():
    class ReadsRules(nnx.Module):
        def __call__(self, x):
            return x * (2.0 if nn.get_logical_axis_rules() else 1.0)

    layer, x = FlaxLayer(ReadsRules()), np.ones((1, 2), np.float32)
    for rules, factor in (((), 1), ((("a", None),), 2), ((), 1)):
        with nn.logical_axis_rules(rules):
            np.testing.assert_array_equal(layer(x), factor * x)
