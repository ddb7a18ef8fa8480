"""A lowered function has the gradients of JAX to any order, and says where JAX has none (K1)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from flaxlayer import FlaxLayer
from flaxlayer.backends.tensorflow.gradients import DifferentiableFunction, as_list
from flaxlayer.backends.tensorflow.recording import recording
from flaxlayer_core import LowerModuleError

pytestmark = pytest.mark.law("K1")

X = np.linspace(0.1, 0.9, 6, dtype=np.float32).reshape(2, 3)
FORM = jax.ShapeDtypeStruct((2, 3), jnp.float32)

KEEPING = pytest.mark.parametrize("keep", [True, False], ids=["residuals", "again"])


def _unbounded(x):
    """Runs; JAX has no gradient of it."""
    return jax.lax.while_loop(lambda carry: jnp.sum(carry) < 100.0, lambda carry: 2 * carry, x)


def _made(function, *forms, keep=False):
    return DifferentiableFunction(
        function, forms or (FORM,), title="The function", keep_residuals=keep
    )


def _slopes(function, *tensors, of=lambda outputs: outputs[0]):
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.reduce_sum(of(function(tensors)))
    return tape.gradient(total, tensors)


@KEEPING
def test_values_and_gradients_are_those_of_jax(keep):
    def function(x, y):
        return [jnp.sin(x) * y, x.sum(0)]

    made = _made(function, FORM, FORM, keep=keep)
    x, y = X, X[::-1].copy()
    for found, expected in zip(made([tf.constant(x), tf.constant(y)]), function(x, y), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    found = _slopes(made, tf.constant(x), tf.constant(y), of=lambda out: out[0] ** 2)
    expected = jax.grad(lambda x, y: (function(x, y)[0] ** 2).sum(), argnums=(0, 1))(x, y)
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5)


@KEEPING
def test_derivatives_of_the_third_order_are_those_of_jax(keep):
    made = _made(lambda x: [jnp.sin(x)], keep=keep)

    def slope(function, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x)

    x = tf.constant(X)
    once = lambda x: slope(lambda x: made([x])[0], x)  # noqa: E731
    twice = lambda x: slope(once, x)  # noqa: E731
    np.testing.assert_allclose(slope(twice, x), -np.cos(X), rtol=1e-5)


def test_integers_and_results_that_have_none_take_no_part():
    def function(x, n):
        return [x * n, n + 1]

    whole = jax.ShapeDtypeStruct((), jnp.int32)
    made = _made(function, FORM, whole)
    found = _slopes(made, tf.constant(X), tf.constant(3))
    np.testing.assert_allclose(found[0], np.full((2, 3), 3.0))
    assert found[1] is None


@pytest.mark.law("K4")
@KEEPING
def test_a_function_without_a_gradient_runs_and_says_so_when_it_is_differentiated(keep):
    made = _made(lambda x: [_unbounded(x)], keep=keep)
    assert made.has_gradient() is False
    np.testing.assert_allclose(made([tf.constant(X)])[0], _unbounded(X), rtol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match="no gradient in JAX: Reverse-mode"):
        _slopes(made, tf.constant(X))


@pytest.mark.law("K4")
@KEEPING
def test_a_result_without_a_gradient_leaves_the_others_theirs(keep):
    made = _made(lambda x: [jnp.sin(x), _unbounded(x)], keep=keep)
    assert made.has_gradient() is True
    np.testing.assert_allclose(_slopes(made, tf.constant(X))[0], np.cos(X), rtol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="The function has no gradient in JAX"):
        _slopes(made, tf.constant(X), of=lambda outputs: outputs[0] + outputs[1])


@pytest.mark.law("K4")
def test_a_gradient_that_tensorflow_lacks_is_refused_by_name():
    @jax.custom_vjp
    def function(x):
        return x

    def backward(_, slope):
        return (jax.pure_callback(lambda a: a, slope, slope),)

    function.defvjp(lambda x: (x, None), backward)
    made = _made(lambda x: [function(x)])
    with pytest.raises(LowerModuleError, match="The gradient of The function"):
        made.has_gradient()


def test_a_gradient_is_lowered_once_and_has_one_of_its_own():
    made = _made(lambda x: [jnp.sin(x)])
    gradient = made.lower_gradient()
    assert made.lower_gradient() is gradient
    (slope,) = gradient([tf.constant(X), tf.ones((2, 3))])
    np.testing.assert_allclose(slope, np.cos(X), rtol=1e-6)
    (curve, by_cotangent) = gradient.lower_gradient()(
        [tf.constant(X), tf.ones((2, 3)), tf.ones((2, 3))]
    )
    np.testing.assert_allclose(curve, -np.sin(X), rtol=1e-5)
    np.testing.assert_allclose(by_cotangent, np.cos(X), rtol=1e-6)


def test_what_is_recorded_is_kept_without_its_gradient():
    made = _made(lambda x: [jnp.sin(x)])
    with recording() as record:
        run = tf.function(lambda x: made([x])[0])
        graph = run.get_concrete_function(tf.TensorSpec((2, 3))).graph
        assert "PyFunc" in {each.type for each in graph.get_operations()}
    (program,) = record.programs.values()
    np.testing.assert_allclose(program.function(X)[0], np.sin(X), rtol=1e-6)


def test_one_result_is_a_list_of_one():
    tensor = tf.ones(2)
    assert as_list(tensor)[0] is as_list([tensor])[0] is as_list((tensor,))[0] is tensor


class Doubles(nn.Module):
    """Runs, but JAX has no gradient of it."""

    @nn.compact
    def __call__(self, x):
        x = jnp.abs(nn.Dense(2)(x))
        return jax.lax.while_loop(lambda carry: jnp.sum(carry) < 100.0, lambda carry: 2 * carry, x)


@pytest.mark.law("K4")
def test_a_module_without_a_gradient_runs_and_says_so_when_it_is_differentiated():
    layer = FlaxLayer(Doubles())
    x = np.ones((3, 2), np.float32)
    np.testing.assert_allclose(layer(x), Doubles().apply(layer.flax_variables(), x), rtol=1e-5)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(x))
    with pytest.raises(tf.errors.InvalidArgumentError, match="no gradient in JAX: Reverse-mode"):
        tape.gradient(total, layer.trainable_variables)
