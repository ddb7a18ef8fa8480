"""Arguments, training flags, methods, masks and outputs reach the module and come back (§5)."""

import enum

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


class Mode(enum.Enum):
    PLUS = 1
    MINUS = -1


class ManyArguments(nn.Module):
    @nn.compact
    def __call__(self, a, b, mode, *, scale=1.0, extra=None, act=None):
        y = nn.Dense(3)(a["x"]) * scale + b[0] * mode.value
        if extra is not None:
            y = y + extra
        return y if act is None else act(y)


@pytest.mark.law("A1")
def test_arrays_pytrees_statics_and_none_reach_the_method_unchanged(raw_apply, same_bits):
    layer = FlaxLayer(ManyArguments())
    a, b = {"x": X}, (np.ones((2, 3), np.float32),)
    for mode in Mode:
        for kwargs in ({}, {"scale": 2.0}, {"extra": X[:, :3]}, {"act": nn.relu}):
            actual = layer(a, b, mode, **kwargs)
            raw = jax.jit(
                lambda v, a, b, mode=mode, kw=kwargs: ManyArguments().apply(v, a, b, mode, **kw)
            )
            same_bits(actual, raw(layer.flax_variables(), a, b))


class SeesType(nn.Module):
    @nn.compact
    def __call__(self, x, value):
        return (
            x
            * {bool: 2.0, int: 3.0, float: 5.0}[type(value)]
            * (-1.0 if str(value)[0] == "-" else 1.0)
        )


@pytest.mark.law("A1")
def test_equal_statics_of_different_types_are_different_calls():
    layer = FlaxLayer(SeesType())
    factors = [float(layer(X, value)[0, 0] / X[0, 0]) for value in (1, True, 1.0, 0.0, -0.0)]
    assert factors == [3.0, 2.0, 5.0, 5.0, -5.0]


@pytest.mark.law("A1")
def test_int_tokens_keep_their_dtype_from_build_on(same_bits):
    layer = FlaxLayer(nn.Embed(7, 3))
    tokens = np.array([[1, 2], [6, 0]])
    same_bits(layer(tokens), layer.flax_variables()["params"]["embedding"][tokens])
    assert layer(keras.Input((None,), dtype="int32")).shape == (None, None, 3)


@pytest.mark.law("A1")
def test_two_positional_inputs_work_in_a_functional_model(same_bits):
    class Two(nn.Module):
        @nn.compact
        def __call__(self, a, b):
            return nn.Dense(3)(a) + nn.Dense(3)(b)

    layer = FlaxLayer(Two())
    inputs = [keras.Input((4,)), keras.Input((4,))]
    model = keras.Model(inputs, layer(*inputs))
    raw = jax.jit(Two().apply)(layer.flax_variables(), X, 2 * X)
    same_bits(model([X, 2 * X]), raw)


@pytest.mark.law("A1")
def test_static_arguments_stay_with_a_functional_model(same_bits):
    layer = FlaxLayer(SeesType())
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layer(inputs, True))
    same_bits(model(X), 2 * jnp.asarray(X))


def _flag_module(name, negated, keyword_only, default):
    """A module whose output is 1 in training and 0 at inference, by the argument's own meaning."""
    star = "*, " if keyword_only else ""
    suffix = "" if default is None else f"={default}"
    source = (
        f"def __call__(self, x, {star}{name}{suffix}):\n"
        f"    return x * 0 + (0.0 if {name} else 1.0)\n"
        if negated
        else f"def __call__(self, x, {star}{name}{suffix}):\n"
        f"    return x * 0 + (1.0 if {name} else 0.0)\n"
    )
    namespace = {}
    exec(source, namespace)
    return type("Flagged", (nn.Module,), {"__call__": namespace["__call__"]})()


@pytest.mark.law("A2")
@pytest.mark.parametrize("keyword_only", [False, True])
@pytest.mark.parametrize("default", [None, "True", "False"])
@pytest.mark.parametrize(
    ("name", "negated"),
    [
        ("training", False),
        ("train", False),
        ("is_training", False),
        ("deterministic", True),
        ("eval", True),
        ("use_running_average", True),
    ],
)
def test_the_customary_training_arguments_get_the_flag(name, negated, keyword_only, default):
    layer = FlaxLayer(_flag_module(name, negated, keyword_only, default))
    assert np.max(np.asarray(layer(X, training=True))) == 1.0
    assert np.max(np.asarray(layer(X, training=False))) == 0.0
    assert np.max(np.asarray(layer(X))) == 0.0


@pytest.mark.law("A2")
def test_a_training_argument_of_another_name_is_named():
    enabled = FlaxLayer(_flag_module("enabled", False, False, "False"), training_arg="enabled")
    frozen = FlaxLayer(_flag_module("frozen", True, True, None), training_arg="~frozen")
    for layer in (enabled, frozen):
        assert np.max(np.asarray(layer(X, training=True))) == 1.0
        assert np.max(np.asarray(layer(X))) == 0.0


@pytest.mark.law("A2")
def test_the_value_that_the_caller_gives_wins():
    layer = FlaxLayer(_flag_module("train", False, False, "False"))
    assert np.max(np.asarray(layer(X, train=False, training=True))) == 0.0
    assert np.max(np.asarray(layer(X, True, training=False))) == 1.0


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights:UserWarning")
@pytest.mark.law("A2")
def test_fit_trains_dropout_whose_argument_has_a_default(watched):
    class Drops(nn.Module):
        @nn.compact
        def __call__(self, x, deterministic=True):
            return nn.Dropout(0.5, deterministic=deterministic)(x)

    loss, seen = watched
    model = keras.Sequential([FlaxLayer(Drops())])
    model.compile("sgd", loss)
    ones = np.ones((4, 64), np.float32)
    model.fit(ones, ones, verbose=0)
    jax.effects_barrier()
    assert set(np.unique(seen[-1])) == {0.0, 2.0}
    assert (model.predict(ones, verbose=0) == 1.0).all()


class Autoencoder(nn.Module):
    def setup(self):
        self.encoder, self.decoder = nn.Dense(2), nn.Dense(4)

    def encode(self, x):
        return self.encoder(x)

    def decode(self, z):
        return self.decoder(z)

    def __call__(self, x):
        return self.decode(self.encode(x))


def twice(module, x):
    return module(module(x))


@pytest.mark.law("A3")
@pytest.mark.parametrize("form", ["name", "bound", "unbound", "function"])
def test_a_method_is_a_name_a_bound_or_unbound_method_or_a_function(form, same_bits):
    module = Autoencoder()
    method = {
        "name": "encode",
        "bound": module.encode,
        "unbound": Autoencoder.encode,
        "function": twice,
    }[form]
    layer = FlaxLayer(module, method=method, init_method="__call__")
    y = layer(X)
    raw = jax.jit(lambda v, x: module.apply(v, x, method=twice if form == "function" else "encode"))
    same_bits(y, raw(layer.flax_variables(), X))
    assert len(layer.weights) == 4


@pytest.mark.law("A3")
def test_method_layers_share_the_weights_and_train_them():
    layer = FlaxLayer(Autoencoder())
    inputs = keras.Input((4,))
    whole = keras.Model(inputs, layer(inputs))
    codes = keras.Model(inputs, layer.method("encode")(inputs))
    assert {id(v) for v in codes.weights} == {id(v) for v in whole.weights}
    before = codes.predict(X, verbose=0)
    whole.compile("sgd", "mse")
    whole.fit(X, X, epochs=2, verbose=0)
    raw = Autoencoder().apply(layer.flax_variables(), X, method="encode")
    after = codes.predict(X, verbose=0)
    assert not (before == after).all()
    np.testing.assert_allclose(after, raw, rtol=1e-6)


@pytest.mark.law("A3")
def test_a_method_layer_initialises_through_init_method():
    layer = FlaxLayer(Autoencoder(), init_method="__call__")
    assert layer.method("encode")(X).shape == (2, 2)
    assert len(layer.weights) == 4


class Masked(nn.Module):
    @nn.compact
    def __call__(self, x, mask=None):
        y = nn.Dense(3)(x)
        return y if mask is None else jnp.where(mask[..., None], y, 7.0)


@pytest.mark.law("A4")
@pytest.mark.parametrize("functional", [False, True])
def test_the_keras_mask_reaches_the_method_and_travels_on(functional):
    ids = np.array([[1, 2, 0], [3, 0, 0]])
    embedding, layer = keras.layers.Embedding(5, 4, mask_zero=True), FlaxLayer(Masked())
    pool = keras.layers.GlobalAveragePooling1D()
    if functional:
        inputs = keras.Input((None,), dtype="int32")
        hidden = layer(embedding(inputs))
        model = keras.Model(inputs, [hidden, pool(hidden)])
        hidden, pooled = model(ids)
    else:
        hidden = layer(embedding(ids))
        pooled = pool(hidden)
    hidden = np.asarray(hidden)
    assert (hidden[ids == 0] == 7.0).all()
    assert (hidden[ids != 0] != 7.0).all()
    expected = np.stack([hidden[0, :2].mean(0), hidden[1, :1].mean(0)])
    np.testing.assert_allclose(pooled, expected, rtol=1e-6)


@pytest.mark.law("A4")
def test_a_mask_that_the_caller_gives_wins():
    layer = FlaxLayer(Masked())
    x = keras.layers.Embedding(5, 4, mask_zero=True)(np.array([[1, 0]]))
    y = np.asarray(layer(x, mask=np.array([[False, True]])))
    assert (y[0, 0] == 7.0).all()
    assert (y[0, 1] != 7.0).all()


@flax.struct.dataclass
class Parts:
    hidden: jax.Array
    total: jax.Array
    name: str = flax.struct.field(pytree_node=False, default="parts")


class ManyOutputs(nn.Module):
    @nn.compact
    def __call__(self, x):
        h = nn.Dense(3)(x)
        return Parts(h, h.sum(-1)), {"a": (h, None)}, "tag", 3


@pytest.mark.law("A5")
def test_outputs_of_any_structure_come_back(same_bits):
    layer = FlaxLayer(ManyOutputs())
    actual = layer(X)
    expected = ManyOutputs().apply(layer.flax_variables(), X)
    assert isinstance(actual[0], Parts)
    assert actual[2:] == ("tag", 3)
    assert actual[1]["a"][1] is None
    np.testing.assert_allclose(actual[0].total, expected[0].total, rtol=1e-6)


@pytest.mark.law("A5")
def test_outputs_of_any_structure_come_out_of_a_functional_model():
    layer = FlaxLayer(ManyOutputs())
    inputs = keras.Input((4,))
    parts, tree, tag, number = layer(inputs)
    assert (tag, number, tree["a"][1]) == ("tag", 3, None)
    model = keras.Model(inputs, [parts.total, tree["a"][0]])
    total, hidden = model(X)
    raw = ManyOutputs().apply(layer.flax_variables(), X)[0]
    np.testing.assert_allclose(total, raw.total, rtol=1e-6)
    np.testing.assert_allclose(hidden, raw.hidden, rtol=1e-6)


@pytest.mark.law("A2")
def test_a_required_argument_that_nobody_gives_is_explained():
    with pytest.raises(TypeError) as caught:
        FlaxLayer(ManyArguments())(X)
    message = str(caught.value).splitlines()
    assert message[0] == (
        "The call does not fit ManyArguments.__call__: missing a required argument: 'b'."
    )
    assert message[1].startswith("Expected: ManyArguments.__call__(a, b, mode, *, scale=1.0")
    assert message[2].startswith("Found: 1 positional arguments and keywords []; the layer passes")
    assert message[-1] == "Law: A2"
