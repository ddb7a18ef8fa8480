"""Each private API of Keras that the layer uses still does what it is used for."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer.compat import private_keras as compat

X = np.ones((2, 4), np.float32)


@pytest.fixture
def layer():
    layer = FlaxLayer(nn.Dense(3))
    layer(X)
    return layer


def test_a_stateless_scope_is_seen_while_it_is_open():
    assert not compat.in_stateless_scope()
    with keras.StatelessScope():
        assert compat.in_stateless_scope()
    assert not compat.in_stateless_scope()


@pytest.mark.parametrize("takes", [False, True])
def test_keras_passes_a_mask_to_a_layer_that_announces_it(takes):
    given = []

    class Inner(keras.layers.Layer):
        supports_masking = True

        def call(self, x, **kwargs):
            given.append(kwargs.get("mask"))
            return x

    inner = Inner()
    compat.announce_mask(inner, takes=takes)
    keras.layers.TimeDistributed(inner)(np.ones((2, 3, 4)), mask=np.ones((2, 3), bool))
    assert all((mask is not None) == takes for mask in given)
    assert given


def test_an_outermost_eager_call_is_plain(layer):
    assert compat.is_plain_call(layer, [X])


def test_a_call_inside_another_layer_is_not_plain():
    seen = []

    class Outer(keras.layers.Layer):
        def call(self, x):
            seen.append(compat.is_plain_call(self, [x]))
            return x

    Outer()(X)
    assert seen == [False]


def test_a_call_in_a_scope_or_under_a_distribution_is_not_plain(layer):
    with keras.StatelessScope():
        assert not compat.is_plain_call(layer, [X])
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=["cpu:0"]))
    try:
        assert not compat.is_plain_call(layer, [X])
    finally:
        keras.distribution.set_distribution(None)


def test_a_layer_that_regularises_checks_or_rematerialises_is_not_plain(layer):
    regularised = FlaxLayer(nn.Dense(3), activity_regularizer="l2")
    assert not compat.is_plain_call(regularised, [X])
    if hasattr(keras, "RematScope"):  # since Keras 3.9
        with keras.RematScope(mode="full"):
            assert not compat.is_plain_call(FlaxLayer(nn.Dense(3)), [X])
    layer.input_spec = keras.layers.InputSpec(ndim=2)
    assert not compat.is_plain_call(layer, [X])


def test_an_activity_regularizer_adds_its_loss():
    layer = FlaxLayer(nn.Dense(3), activity_regularizer=keras.regularizers.L2(1.0))
    layer(X)
    outputs = np.asarray(layer(X))
    # Whether Keras divides by the batch size depends on its version, not on the layer.
    plain = keras.layers.Activation("linear", activity_regularizer=keras.regularizers.L2(1.0))
    plain(outputs)
    np.testing.assert_allclose(layer.losses[0], plain.losses[0], rtol=1e-5)
    assert float(plain.losses[0]) in (
        pytest.approx(float(np.sum(outputs**2)), rel=1e-5),
        pytest.approx(float(np.sum(outputs**2)) / len(X), rel=1e-5),
    )


def test_the_mask_of_a_tensor_is_found():
    embedded = keras.layers.Embedding(3, 2, mask_zero=True)(np.array([[1, 0]]))
    np.testing.assert_array_equal(compat.get_mask(embedded), [[True, False]])
    assert compat.get_mask(jnp.ones(2)) is None


@pytest.mark.law("W5")
def test_a_functional_model_fills_in_the_mask_of_each_call():
    seen = []

    class Sees(keras.layers.Layer):
        def call(self, x, mask=None):
            seen.append((mask, compat.get_mask(x)))
            return x

    sees, inputs = Sees(), keras.Input((2,))
    sees.supports_masking = True
    outputs = sees(keras.layers.Embedding(3, 2, mask_zero=True)(inputs))
    compat.forget_filled_mask(sees)
    keras.Model(inputs, outputs)(np.array([[1, 0]]))
    mask, travelling = seen[-1]
    assert mask is travelling is not None
    given = sees(keras.Input((2, 2)), mask=keras.Input((2,), dtype="bool"))
    assert given is not None
    assert sees._inbound_nodes[-1].arguments.kwargs["mask"] is not None


@pytest.mark.jax_only("variables of TensorFlow hold tensors")
def test_raw_values_are_the_arrays_of_the_variables(layer):
    for array, variable in zip(compat.raw_values(layer.weights), layer.weights, strict=True):
        assert isinstance(array, jax.Array)
        assert array is variable.value


@pytest.mark.jax_only("variables of other backends hold other arrays")
def test_variables_show_other_values_to_what_writes_them(layer):
    class Shown:
        shape, dtype = (1,), "float32"

        def __array__(self, dtype=None, copy=None):
            return np.float32([7])

    held = compat.raw_values(layer.weights)
    with compat.showing(layer.weights, [Shown() for _ in held]):
        assert [np.asarray(variable).tolist() for variable in layer.weights] == [[7]] * len(held)
        assert [variable.numpy().tolist() for variable in layer.weights] == [[7]] * len(held)
    after = compat.raw_values(layer.weights)
    assert all(value is own for value, own in zip(after, held, strict=True))


def test_keras_leaves_the_message_of_a_marked_error_alone():
    class Fails(keras.layers.Layer):
        def call(self, x):
            error = ValueError("as it is")
            compat.keep_message(error)
            raise error

    with pytest.raises(ValueError) as caught:
        Fails()(X)
    assert str(caught.value) == "as it is"


def test_the_batch_that_built_a_layer_is_not_kept(layer):
    assert layer._build_shapes_dict["input_shape"].values is None
    compat.keep_build_shape(layer, (None, 4))
    assert layer._build_shapes_dict == {"input_shape": (None, 4)}


@pytest.mark.law("A10")
def test_a_symbolic_scope_is_seen():
    assert not compat.in_symbolic_scope()
    with keras.SymbolicScope():
        assert compat.in_symbolic_scope()


def test_a_locked_layer_takes_other_variables():
    layer = keras.layers.Layer()
    layer.old, new = keras.Variable(1.0), keras.Variable(2.0)
    layer.build((None, 3))
    with compat.retracking(layer, [layer.old]):
        layer.new = new
    assert [variable is new for variable in layer.trainable_variables] == [True]
    with pytest.raises(ValueError, match="new elements of state"):
        layer.other = keras.Variable(1.0)


def test_variables_get_their_paths_in_the_scope_of_a_layer():
    layer = keras.layers.Dense(2, name="dense")
    with compat.scope_of(layer):
        assert keras.Variable(1.0, name="kernel").path == "dense/kernel"


def test_a_layer_is_put_back_with_what_keras_tracks_of_it():
    layer = FlaxLayer(nn.Dense(3))
    attributes, hosted = set(vars(layer)), layer._hosted
    parts = (hosted, hosted.frozen, layer._runner.cache)
    with pytest.raises(KeyboardInterrupt), compat.restoring(layer, *parts):
        layer.inner = keras.layers.Dense(2)
        layer(X)
        raise KeyboardInterrupt
    assert set(vars(layer)) == attributes
    assert (layer.weights, layer._layers, layer.built) == ([], [], False)
    layer.extra = layer.add_weight(shape=(1,))
    layer(X)
    assert len(layer.weights) == 3


def test_what_keras_tracks_of_a_layer_is_put_back_in_both_its_forms():
    layer = keras.layers.Layer()
    layer.add_weight(shape=(1,))

    def stop():
        with compat.restoring(layer):
            layer.add_weight(shape=(2,))
            raise ValueError

    with pytest.raises(ValueError):
        stop()
    assert [variable.shape for variable in layer.weights] == [(1,)]
    for name, (_, values) in layer._tracker.config.items():
        assert layer._tracker.stored_ids[name] == set(map(id, values))
