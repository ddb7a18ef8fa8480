"""Calls on TensorFlow: values, state, keys and gradients are those of raw Flax (K1, K2)."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import tensorflow as tf

from flaxlayer import FlaxLayer

pytestmark = pytest.mark.law("K2")


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.gelu(nn.Dense(8)(x), approximate=False)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        return nn.Dense(3)(nn.Dropout(0.3, deterministic=not train)(x))


def inputs(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def raw(layer, x, *, training):
    return layer.module.apply(
        layer.flax_variables(),
        x,
        train=training,
        rngs=layer.peek_rngs(training=training),
        mutable=nn.DenyList("params"),
    )


def eager(function):
    return function


def in_function(function):
    return tf.function(function)


def of_unknown_size(function):
    return tf.function(function, input_signature=[tf.TensorSpec((None, 5))])


def jit_compiled(function):
    return tf.function(function, jit_compile=True)


@pytest.mark.parametrize("run", [eager, in_function, of_unknown_size, jit_compiled])
def test_outputs_state_and_keys_of_calls_are_those_of_raw_apply(run, close):
    layer = FlaxLayer(Net(), seed=3)
    layer(inputs(2, 5))
    call = run(lambda x: layer(x, training=True))
    for batch in (4, 4, 1, 7):
        x = inputs(batch, 5, seed=batch)
        expected, updates = raw(layer, x, training=True)
        close(call(x).numpy(), expected)
        close(layer.flax_variables()["batch_stats"], updates["batch_stats"])
    assert np.asarray(layer.seed_generator.state).tolist() == [3, 4]


@pytest.mark.parametrize("run", [eager, in_function, of_unknown_size, jit_compiled])
def test_gradients_are_those_of_jax(run, close):
    layer = FlaxLayer(Net(), seed=3)
    x = inputs(4, 5)
    layer(x)
    variables, rngs = layer.flax_variables(), layer.peek_rngs(training=True)

    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=True) ** 2)
        return tape.gradient(loss, [x, *(w.value for w in layer.trainable_weights)])

    def loss(x, params):
        given = {**variables, "params": params}
        y, _ = Net().apply(given, x, train=True, rngs=rngs, mutable=["batch_stats"])
        return (y**2).sum()

    expected = jax.tree.leaves(jax.grad(loss, argnums=(0, 1))(x, variables["params"]))
    found = [gradient.numpy() for gradient in run(gradients)(tf.constant(x))]
    close(found, expected, rtol=1e-4)


def test_second_derivatives_are_those_of_jax(close):
    class Square(nn.Module):
        @nn.compact
        def __call__(self, x):
            return (jnp.sin(x) * self.param("scale", nn.initializers.ones, ())).sum()

    layer, x = FlaxLayer(Square()), tf.constant(inputs(3))
    layer(x)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = layer(x)
        slope = inner.gradient(y, x)
    close(outer.gradient(slope, x).numpy(), -np.sin(x.numpy()))


def test_a_layer_is_lowered_once_for_a_form_of_inputs():
    traces = []

    class Noted(nn.Module):
        @nn.compact
        def __call__(self, x):
            traces.append(x.shape)
            return nn.Dense(2)(x)

    layer, x = FlaxLayer(Noted()), inputs(4, 5)
    layer(x)
    before = len(traces)
    for _ in range(100):
        layer(x)
    function = tf.function(lambda x: layer(x), input_signature=[tf.TensorSpec((None, 5))])
    function(x)
    inside = len(traces)
    for batch in range(1, 101):
        function(inputs(batch % 7 + 1, 5))
    assert before == len(traces[:before])
    assert traces[before:inside]
    assert len(traces) == inside


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1, 2], [0, 3]], np.int32),
        np.array([[1, 2], [0, 3]], np.int64),
        np.array([[1, 2], [0, 3]], np.uint8),
        np.array([[True, False]]),
        np.array([[1.5, -2.0]], jnp.bfloat16),
        np.array([[1.5, -2.0]], np.float16),
        np.array([[1.5, -2.0]], np.float64),
        np.array([[1 + 2j, 3 - 1j]], np.complex64),
    ],
    ids=lambda array: array.dtype.name,
)
def test_inputs_of_every_dtype_arrive_as_jax_has_them(array, close):
    class Twice(nn.Module):
        @nn.compact
        def __call__(self, x):
            return x, jnp.where(x, x, x), jnp.concatenate([x, x])

    layer = FlaxLayer(Twice())
    expected = Twice().apply({}, jnp.asarray(array))
    for call in (layer, tf.function(lambda x: layer(x))):
        close([y.numpy() for y in call(tf.constant(array))], list(expected))


def test_a_scalar_of_half_precision_builds_a_layer(close):
    class Scales(nn.Module):
        @nn.compact
        def __call__(self, x, scale):
            return nn.Dense(2)(x) * scale

    layer, x = FlaxLayer(Scales()), inputs(3, 5)
    scale = tf.constant(1.5, tf.bfloat16)
    expected = Scales().apply(layer_variables(layer, x, scale), x, jnp.bfloat16(1.5))
    close(layer(x, scale).numpy(), expected)


def layer_variables(layer, *arguments):
    layer(*arguments)
    return layer.flax_variables()


def test_complex_gradients_follow_tensorflow():
    class Scale(nn.Module):
        @nn.compact
        def __call__(self, z):
            return z * jnp.complex64(2 + 1j) + z * z

    layer, z = FlaxLayer(Scale()), tf.constant([1 + 2j, 0.5 - 1j], tf.complex64)
    layer(z)

    def gradient(function):
        with tf.GradientTape() as tape:
            tape.watch(z)
            loss = tf.reduce_sum(tf.math.real(function(z)) ** 2)
        return tape.gradient(loss, z).numpy()

    np.testing.assert_allclose(gradient(layer), gradient(lambda z: z * (2 + 1j) + z * z), rtol=1e-5)


@flax.struct.dataclass
class Result:
    logits: jax.Array
    parts: dict


class Pairs(nn.Module):
    @nn.compact
    def __call__(self, batch, scale, *, mode, extra=None):
        y = nn.Dense(2)(batch["a"]) + batch["b"][1] * scale
        if extra is not None:
            y = y + extra
        name = "named" if mode == "sum" else "other"
        return Result(y, {"half": y / 2, "name": name})


def test_pytrees_and_static_arguments_pass_through(close):
    layer = FlaxLayer(Pairs())
    batch = {"a": inputs(4, 5), "b": (None, inputs(4, 1))}
    result = layer(batch, 2.0, mode="sum")
    expected = Pairs().apply(layer.flax_variables(), batch, 2.0, mode="sum")
    assert type(result) is Result
    assert result.parts["name"] == "named"
    close(result.logits.numpy(), expected.logits)
    other = layer(batch, 3.0, mode="mean", extra=inputs(4, 2))
    assert other.parts["name"] == "other"
    expected = Pairs().apply(layer.flax_variables(), batch, 3.0, mode="mean", extra=inputs(4, 2))
    close(other.parts["half"].numpy(), expected.parts["half"])


class Sows(nn.Module):
    @nn.compact
    def __call__(self, x):
        y = nn.Dense(2, name="out")(x)
        self.sow("intermediates", "y", y)
        self.sow("losses", "penalty", 0.1 * (y**2).sum())
        return y


def test_sown_values_are_returned_and_losses_added(close):
    layer, x = FlaxLayer(Sows(), return_sown=("intermediates",)), inputs(3, 5)
    y, sown = layer(x)
    expected, updates = Sows().apply(layer.flax_variables(), x, mutable=True)
    close(y.numpy(), expected)
    close(sown["intermediates"]["y"][0].numpy(), updates["intermediates"]["y"][0])
    close([layer.losses[0].numpy()], [updates["losses"]["penalty"][0]])
    model = keras.Sequential([keras.Input((5,)), FlaxLayer(Sows(), seed=1)])
    model.compile("sgd", "mse")
    found = model.evaluate(x, np.zeros((3, 2), np.float32), verbose=0)
    raw_y, raw_updates = Sows().apply(model.layers[0].flax_variables(), x, mutable=True)
    expected = (raw_y**2).mean() + raw_updates["losses"]["penalty"][0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


class Coder(nn.Module):
    def setup(self):
        self.inner, self.outer = nn.Dense(2), nn.Dense(5)

    def __call__(self, x):
        return self.decode(self.encode(x))

    def encode(self, x):
        return self.inner(x)

    def decode(self, z):
        return self.outer(z)


def test_methods_share_the_weights(close):
    layer, x = FlaxLayer(Coder()), inputs(3, 5)
    whole = layer(x)
    encode, decode = layer.method("encode"), layer.method("decode")
    close(decode(encode(x)).numpy(), whole.numpy())
    variables = layer.flax_variables()
    close(encode(x).numpy(), Coder().apply(variables, x, method="encode"))


def test_a_mask_reaches_the_method_and_travels_on(close):
    class Pool(nn.Module):
        @nn.compact
        def __call__(self, x, mask=None):
            assert mask is not None
            return nn.Dense(2)(x) * mask[..., None]

    tokens = np.array([[1, 2, 0], [3, 0, 0]], np.int32)
    embed = keras.layers.Embedding(5, 4, mask_zero=True)
    layer = FlaxLayer(Pool())
    tensor = keras.Input((None,), dtype="int32")
    model = keras.Model(tensor, layer(embed(tensor)))
    expected = Pool().apply(
        layer.flax_variables(), np.asarray(embed(tokens)), mask=jnp.asarray(tokens != 0)
    )
    close(model(tokens).numpy(), expected)
    close(model.predict(tokens, verbose=0), np.asarray(expected))


def test_a_mixed_policy_casts_inputs_and_params_and_never_state(close):
    layer, x = FlaxLayer(Net(), dtype="mixed_bfloat16", seed=1), inputs(4, 5)
    y = layer(x, training=True)
    assert y.dtype == tf.bfloat16
    stats = layer.flax_variables()["batch_stats"]["BatchNorm_0"]
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(layer.flax_variables())} == {"float32"}
    variables = layer.flax_variables()
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), variables["params"])
    expected = Net().apply({**variables, "params": params}, x.astype(jnp.bfloat16))
    close(layer(x).numpy(), expected)
    assert np.abs(np.asarray(stats["mean"])).max() > 0


def test_two_sequences_may_have_different_unknown_lengths(close):
    class Cross(nn.Module):
        @nn.compact
        def __call__(self, queries, keys):
            return nn.MultiHeadDotProductAttention(2)(queries, keys)

    layer = FlaxLayer(Cross())
    first, second = keras.Input((None, 4)), keras.Input((None, 4))
    model = keras.Model([first, second], layer([first, second][0], [first, second][1]))
    for lengths in ((3, 5), (2, 2), (1, 7)):
        given = [inputs(2, length, 4, seed=length) for length in lengths]
        expected = Cross().apply(layer.flax_variables(), *given)
        close(model.predict(given, verbose=0), np.asarray(expected))


def test_the_matmul_precision_is_part_of_what_is_lowered():
    layer, x = FlaxLayer(nn.Dense(2)), inputs(2, 3)
    layer(x)
    program = next(iter(layer._runner.cache.calls.values())).run
    before = len(program._lowered)
    with jax.default_matmul_precision("highest"):
        layer(x)
    assert len(program._lowered) == before + 1
