"""Subclasses override what those of Keras's own layers override, with the same outcome (W5)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from jax.experimental import sparse

from flaxlayer import FlaxLayer
from packages.layer.tests.needs import KERAS

IDS = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [1, 2, 3, 4], [1, 0, 0, 0]], "int32")
X = np.random.default_rng(0).normal(size=(4, 4, 4)).astype("float32")
TARGET = np.ones((4, 4, 4), "float32")


def calls_on_x(base):
    class OnX(base):
        def call(self, x):
            return super().call(x) * 2.0

    return OnX


def calls_with_training(base):
    class WithTraining(base):
        def call(self, x, training=None):
            return super().call(x) * (3.0 if training else 1.0)

    return WithTraining


def calls_with_mask(base):
    class WithMask(base):
        def call(self, x, mask=None):
            y = super().call(x)
            return y if mask is None else y * keras.ops.cast(mask, y.dtype)[..., None]

    return WithMask


def overrides_build(base):
    class Builds(base):
        def build(self, input_shape):
            self.features = input_shape[-1]
            super().build(input_shape)

        def call(self, x):
            return super().call(x) / self.features

    return Builds


def overrides_compute_mask(base):
    class NoMask(base):
        def compute_mask(self, inputs, previous_mask=None):
            return None

    return NoMask


def overrides_output_spec(base):
    class Spec(base):
        def compute_output_spec(self, x, training=None):
            return keras.KerasTensor((*x.shape[:-1], 4), x.dtype)

    return Spec


def overrides_config(base):
    class Config(base):
        def __init__(self, *args, factor=2.0, **kwargs):
            super().__init__(*args, **kwargs)
            self.factor = factor

        def call(self, x):
            return super().call(x) * self.factor

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    return Config


CALLS = (calls_on_x, calls_with_training, calls_with_mask)
OVERRIDES = (overrides_build, overrides_compute_mask, overrides_output_spec, overrides_config)


def each_of(*kinds):
    return pytest.mark.parametrize("subclass", kinds, ids=lambda function: function.__name__)


def in_slow_tests(kinds):
    return [pytest.param(kind, marks=pytest.mark.slow) for kind in kinds]


def set_kernel(layer):
    for variable in layer.weights:
        if variable.path.endswith("kernel"):
            variable.assign(np.linspace(-1, 1, 16, dtype="float32").reshape(4, 4))
    return layer


def both(subclass):
    ours, native = subclass(FlaxLayer)(nn.Dense(4)), subclass(keras.layers.Dense)(4)
    for layer in (ours, native):
        layer(X)
    return set_kernel(ours), set_kernel(native)


def mask_on(tensor):
    class Sees(keras.layers.Layer):
        def call(self, x, mask=None):
            self.seen = mask
            return x

    sees = Sees()
    sees.supports_masking = True
    sees(tensor)
    return None if sees.seen is None else np.asarray(sees.seen).tolist()


@pytest.mark.law("W5")
@each_of(*CALLS, *OVERRIDES)
def test_a_subclass_is_called_as_one_of_a_layer_of_keras(subclass, close):
    masked = keras.layers.Embedding(5, 4, mask_zero=True)(IDS)
    ours, native = both(subclass)
    for x in (X, masked):
        for training in (None, True):
            actual, expected = ours(x, training=training), native(x, training=training)
            close(np.asarray(actual), np.asarray(expected))
            assert mask_on(actual) == mask_on(expected)


@pytest.mark.law("W5")
@each_of(*in_slow_tests(CALLS), *OVERRIDES)
def test_a_subclass_trains_and_is_saved_as_one_of_a_layer_of_keras(subclass, tmp_path):
    runs = []
    for layer in both(subclass):
        # Keras 3.6 finds masks by the identity of an array, those of arrays that are gone, too.
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,), dtype="int32")
        embedding = keras.layers.Embedding(5, 4, mask_zero=True)
        model = keras.Model(inputs, layer(embedding(inputs)))
        model.compile("sgd", "mse")
        history = model.fit(IDS, TARGET, epochs=2, shuffle=False, verbose=0)
        model.save(tmp_path / "model.keras")
        names = {type(layer).__name__: type(layer)}
        loaded = keras.saving.load_model(tmp_path / "model.keras", custom_objects=names)
        predictions = loaded.predict(IDS, verbose=0)
        np.testing.assert_array_equal(predictions, model.predict(IDS, verbose=0))
        runs.append((history.history["loss"], predictions))
    np.testing.assert_allclose(runs[0][0], runs[1][0], rtol=1e-5)
    np.testing.assert_allclose(runs[0][1], runs[1][1], rtol=1e-4, atol=1e-5)


@pytest.mark.law("W5")
def test_a_call_without_a_mask_is_refused_one_by_keras():
    for layer in both(calls_on_x):
        with pytest.raises(TypeError, match="mask"):
            layer(X, mask=IDS != 0)


@pytest.mark.law("W5")
def test_a_mask_that_the_caller_gives_a_subclass_travels_on():
    given = IDS != 0
    for layer in both(calls_with_mask):
        y = layer(X, mask=given)
        assert (np.asarray(y)[~given] == 0).all()
        # Keras 3.6 carries on no mask that the caller gave, whatever the layer.
        assert mask_on(y) == (None if KERAS == (3, 6) else given.tolist())


@pytest.mark.law("W5")
def test_a_subclass_may_hand_the_module_other_inputs_than_it_gets(tmp_path):
    class Doubles(FlaxLayer):
        def build(self, input_shape):
            super().build((*input_shape[:-1], 2 * input_shape[-1]))

        def call(self, x):
            return super().call(keras.ops.concatenate([x, x], -1))

    inputs = keras.Input((4, 4))
    model = keras.Model(inputs, Doubles(nn.Dense(2))(inputs))
    model.layers[-1].load_flax_variables({"params": {"bias": np.ones(2, "float32")}})
    assert model.layers[-1].params["params"]["kernel"].shape == (8, 2)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", custom_objects={"Doubles": Doubles})
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.law("W5")
def test_an_overridden_build_builds_for_the_true_dtypes():
    class Builds(FlaxLayer):
        def build(self, input_shape):
            assert tuple(input_shape) == (4, 4)
            super().build(input_shape)

    assert Builds(nn.Embed(5, 3))(IDS).shape == (4, 4, 3)


@pytest.mark.law("W5")
def test_a_call_of_a_subclass_may_take_more_than_the_method():
    class Scaled(FlaxLayer):
        def call(self, x, scale):
            return super().call(x) * scale

    scale = np.full((4, 4, 2), 3.0, "float32")
    layer = Scaled(nn.Dense(2))
    y = layer(X, scale)
    expected = nn.Dense(2).apply(layer.flax_variables(), X) * scale
    np.testing.assert_allclose(np.asarray(y), expected, rtol=1e-5)


@pytest.mark.law("W5")
def test_attention_of_a_subclass_gets_the_mask_that_its_call_passes_on(close):
    class Attends(FlaxLayer):
        def call(self, x, mask=None):
            return super().call(x, mask=mask)

    masked = keras.layers.Embedding(5, 4, mask_zero=True)(IDS)
    layer = Attends(nn.MultiHeadDotProductAttention(2))
    over_keys = (IDS != 0)[:, None, None]
    inputs = keras.Input((4,), dtype="int32")
    expected = None
    for y in (layer(masked), layer(masked)):
        expected = nn.MultiHeadDotProductAttention(2).apply(
            layer.flax_variables(), np.asarray(masked), mask=over_keys
        )
        close(np.asarray(y), np.asarray(expected))
    embedding = keras.layers.Embedding(5, 4, mask_zero=True)
    model = keras.Model(inputs, layer(embedding(inputs)))
    embedding.set_weights([np.eye(5, 4, dtype="float32")])
    expected = nn.MultiHeadDotProductAttention(2).apply(
        layer.flax_variables(), np.eye(5, 4, dtype="float32")[IDS], mask=over_keys
    )
    close(np.asarray(model(IDS)), np.asarray(expected))


class Multiplies(nn.Module):
    @nn.compact
    def __call__(self, matrix, x):
        return nn.Dense(2)(matrix @ x)


@pytest.mark.law("A5")
@pytest.mark.jax_only("a sparse array of JAX")
def test_arguments_that_do_not_compare_are_built_on(same_bits):
    matrix = sparse.BCOO.fromdense(jnp.eye(4))
    x = np.linspace(-1.0, 1.0, 12, dtype=np.float32).reshape(4, 3)
    layer = FlaxLayer(Multiplies())
    outputs = layer(matrix, x)
    expected = jax.jit(Multiplies().apply)(layer.flax_variables(), matrix, x)
    same_bits(outputs, expected)
