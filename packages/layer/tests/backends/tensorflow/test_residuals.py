"""In training the gradient is computed from what the call kept, and is JAX's (K1, K2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from flaxlayer import FlaxLayer

pytestmark = pytest.mark.law("K1")


class Exponential(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return jnp.exp(x * self.param("scale", nn.initializers.ones, ()))


class Dropped(nn.Module):
    """Draws keys inside a remat, so that a typed key is a residual."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.tanh(nn.Dense(4)(x))
        return nn.Dense(2)(nn.Dropout(0.5, deterministic=not train)(x))


class Rematerialised(nn.Module):
    inner: type

    @nn.compact
    def __call__(self, x, train=False):
        return nn.remat(self.inner, static_argnums=2)(name="inner")(x, train)


class Recurrent(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.RNN(nn.SimpleCell(3))(jnp.stack([x, 2 * x, -x], 1))


class Normed(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(nn.Dense(4)(x))
        return nn.Dense(2, dtype=jnp.bfloat16)(nn.gelu(x))


class Complex(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        phase = jnp.exp(1j * x * self.param("scale", nn.initializers.ones, (5,)))
        return jnp.real(phase * phase) + jnp.abs(phase + 1)


class Pieces(nn.Module):
    """Integers, branches, and a gradient that its author wrote, which doubles."""

    @nn.compact
    def __call__(self, x, train=False):
        x = x * self.param("scale", nn.initializers.ones, ())
        tokens = jnp.argsort(x, 1)
        x = _doubled(x) + nn.Embed(5, 1)(tokens)[..., 0] + jnp.max(x, 1, keepdims=True)
        return jax.lax.cond(x.sum() > 0, jnp.sin, jnp.cos, jnp.take_along_axis(x, tokens, 1))


@jax.custom_vjp
def _doubled(x):
    return jnp.sin(x)


_doubled.defvjp(lambda x: (jnp.sin(x), jnp.cos(x)), lambda cos, slope: (2 * cos * slope,))

MODULES = {
    "typed keys": Rematerialised(Dropped),
    "scan": Recurrent(),
    "state and bfloat16": Normed(),
    "complex": Complex(),
    "pieces": Pieces(),
}
TOLERANCES = {"state and bfloat16": 3.1e-2}


def inputs(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def slopes(layer, x):
    """The gradients of a call in training: by its input, and by the params."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(tf.cast(layer(x, training=True), tf.float32) ** 2)
    return tape.gradient(total, [x, *(weight.value for weight in layer.trainable_weights)])


def raw_call(layer, x, params, rngs, variables):
    given = {**variables, "params": params}
    return layer.module.apply(given, x, train=True, rngs=rngs, mutable=["batch_stats"])[0]


def raw_slopes(layer, x, rngs, variables):
    def total(x, params):
        y = raw_call(layer, x, params, rngs, variables)
        return (y.astype(jnp.float32) ** 2).sum()

    return jax.tree.leaves(jax.grad(total, argnums=(0, 1))(x, variables["params"]))


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(
    "known",
    [
        pytest.param(True, marks=pytest.mark.long, id="eager"),
        pytest.param(False, id="unknown batch"),
    ],
)
def test_gradients_from_residuals_are_those_of_jax(name, known):
    layer, x = FlaxLayer(MODULES[name], seed=1), inputs(3, 5)
    layer(x)
    variables, rngs = layer.flax_variables(), layer.peek_rngs(training=True)
    expected = raw_slopes(layer, x, rngs, variables)
    run = slopes
    if not known:
        run = tf.function(slopes, reduce_retracing=True).get_concrete_function(
            layer, tf.TensorSpec((None, 5))
        )
    found = run(layer, tf.constant(x)) if known else run(tf.constant(x))
    rate = TOLERANCES.get(name, 1e-5)
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(left.numpy(), right, rtol=rate, atol=rate)


def modules_with(layer, operation, *, training):
    """How many lowered modules of a call and its gradient have an operation."""

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
        return tape.gradient(y, x)

    graph = run.get_concrete_function(tf.TensorSpec((3, 5))).graph
    calls = [each for each in graph.get_operations() if each.type == "XlaCallModule"]
    assert len(calls) == 2
    return sum(operation in call.get_attr("module") for call in calls)


@pytest.mark.law("K2")
def test_training_computes_nothing_twice_but_what_the_module_says():
    layer = FlaxLayer(Exponential())
    layer(inputs(3, 5))
    assert modules_with(layer, b"exponential", training=True) == 1
    assert modules_with(layer, b"exponential", training=False) == 2
    again = FlaxLayer(Rematerialised(Exponential))
    again(inputs(3, 5))
    assert modules_with(again, b"exponential", training=True) == 2


def test_a_module_is_traced_once_for_a_call_and_its_gradient():
    traces = []

    class Noted(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            traces.append(train)
            return nn.Dense(2)(x)

    layer, x = FlaxLayer(Noted()), tf.constant(inputs(3, 5))
    layer(x)
    known = len(traces)
    slopes(layer, x)
    slopes(layer, x)
    assert len(traces) == known  # the preflight of the build lowered both
    slopes(layer, tf.constant(inputs(4, 5)))
    assert len(traces) == known + 1


def penalty(layer, x):
    """A gradient penalty, and its gradients by the params."""
    weights = [weight.value for weight in layer.trainable_weights]
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(layer(x, training=True) ** 2)
        loss = tf.reduce_sum(inner.gradient(y, x) ** 2)
    return outer.gradient(loss, weights)


@pytest.mark.parametrize("jit_compile", [None, False, True], ids=["eager", "graph", "XLA"])
def test_second_derivatives_pass_through_what_residuals_come_from(jit_compile):
    layer, x = FlaxLayer(Exponential()), inputs(3, 5)
    layer(x)
    run = penalty if jit_compile is None else tf.function(penalty, jit_compile=jit_compile)
    # y = exp(2 s x), its slope 2 s exp(2 s x); all at s = 1, in float64.
    wide = x.astype(np.float64)
    expected = (8 * np.exp(4 * wide) * (1 + 2 * wide)).sum()
    np.testing.assert_allclose(run(layer, tf.constant(x))[0], expected, rtol=1e-5)


def test_a_persistent_tape_a_map_and_a_recomputation_have_the_same_gradients():
    layer, x = FlaxLayer(Rematerialised(Exponential)), inputs(4, 5)
    layer(x)
    expected = raw_slopes(layer, x, {}, layer.flax_variables())
    tensor, scale = tf.constant(x), layer.trainable_weights[0].value

    def check(call):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(tensor)
            total = tf.reduce_sum(call(tensor) ** 2)
        for _ in range(2):
            np.testing.assert_allclose(tape.gradient(total, tensor), expected[0], rtol=1e-5)
            np.testing.assert_allclose(tape.gradient(total, scale), expected[1], rtol=1e-5)

    def call(x):
        return layer(x, training=True)

    @tf.function
    def loop(x):
        rows = tf.TensorArray(tf.float32, 4, element_shape=(1, 5))
        for index in tf.range(4):
            rows = rows.write(index, call(x[index : index + 1]))
        return rows.concat()

    check(lambda x: tf.map_fn(lambda row: call(row[None])[0], x))
    check(loop)
    check(tf.function(tf.function(call)))
    check(tf.recompute_grad(call))
    check(tf.function(tf.recompute_grad(call)))


class Unbounded(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = jnp.abs(x * self.param("scale", nn.initializers.ones, ()))
        return jax.lax.while_loop(lambda c: jnp.sum(c) < 100.0, lambda c: 2 * c, x)


@pytest.mark.law("K4")
def test_a_module_without_a_gradient_runs_in_training():
    layer, x = FlaxLayer(Unbounded()), inputs(3, 5)
    found = layer(x, training=True)
    np.testing.assert_allclose(found, Unbounded().apply(layer.flax_variables(), x), rtol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="no gradient in JAX: Reverse-mode"):
        slopes(layer, tf.constant(x))


def test_what_is_served_in_training_has_the_gradients_of_jax(tmp_path):
    layer, x = FlaxLayer(Normed()), inputs(3, 5)
    layer(x)
    expected = raw_slopes(layer, x, {}, layer.flax_variables())
    served = tf.Module()
    served.variables_ = [weight.value for weight in layer.weights]
    inner = tf.function(lambda x: layer(x, training=True))
    served.call = tf.function(
        lambda x: tf.cast(inner(x), tf.float32), input_signature=[tf.TensorSpec((None, 5))]
    )
    storing = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
    tf.saved_model.save(served, str(tmp_path), options=storing)
    loaded, tensor = tf.saved_model.load(str(tmp_path)), tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        total = tf.reduce_sum(loaded.call(tensor) ** 2)
    np.testing.assert_allclose(tape.gradient(total, tensor), expected[0], rtol=3.1e-2, atol=3.1e-2)
