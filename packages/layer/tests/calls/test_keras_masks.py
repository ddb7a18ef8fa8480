"""Masks around a Flax module, as around one of Keras's own layers (A4)."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import CallArgumentError, DecodeModuleError
from packages.layer.tests.needs import needs_nnx

# As many sequences as steps as features: no size tells another apart.
IDS = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [1, 2, 3, 4], [1, 0, 0, 0]], "int32")
MASK = IDS != 0


class Seen(keras.layers.Layer):
    """Keeps the mask that comes with its input."""

    def __init__(self):
        super().__init__()
        self.supports_masking, self.mask = True, None

    def call(self, x, mask=None):
        self.mask = mask
        return x


def embedded():
    return keras.layers.Embedding(5, 4, mask_zero=True)(IDS)


def mask_on(x):
    seen = Seen()
    seen(x)
    return None if seen.mask is None else np.asarray(seen.mask).tolist()


def array(x):
    return jnp.asarray(np.asarray(x))


def raw(layer, *args, **kwargs):
    return layer.module.apply(layer.flax_variables(), *args, **kwargs)


class Masked(nn.Module):
    @nn.compact
    def __call__(self, x, mask=None):
        y = nn.Dense(3)(x)
        return y if mask is None else jnp.where(mask[..., None], y, 7.0)


class Pooled(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(4)(x).mean(1)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, mask=None):
        return nn.LayerNorm()(x + nn.MultiHeadDotProductAttention(2)(x, mask=mask))


@flax.struct.dataclass
class Parts:
    steps: jax.Array
    pooled: jax.Array


class Several(nn.Module):
    form: type = dict

    @nn.compact
    def __call__(self, x):
        y = nn.Dense(4)(x)
        return self.form(steps=y, pooled=y.mean(1))


@pytest.mark.law("A4")
@pytest.mark.parametrize("module", [nn.MultiHeadDotProductAttention(2), Block()])
def test_attention_gets_the_mask_over_its_keys(module, close):
    x, layer = embedded(), FlaxLayer(module)
    y = layer(x)
    close(np.asarray(y), np.asarray(raw(layer, array(x), mask=jnp.asarray(MASK)[:, None, None])))
    assert mask_on(y) == MASK.tolist()


@needs_nnx
@pytest.mark.law("A4")
def test_attention_of_nnx_gets_the_mask_over_its_keys(close):
    x = embedded()
    layer = FlaxLayer(nnx.MultiHeadAttention(2, 4, decode=False, rngs=nnx.Rngs(0)))
    expected = layer.module(array(x), mask=jnp.asarray(MASK)[:, None, None])
    close(np.asarray(layer(x)), np.asarray(expected))


@flax.struct.dataclass
class Pair:
    values: tuple


class MaskedPair(nn.Module):
    """Takes a mask, and gives an object that holds two arrays."""

    @nn.compact
    def __call__(self, x, mask=None, scale=1.0):
        y = nn.Dense(4)(x) * scale
        return Pair((y if mask is None else jnp.where(mask[..., None], y, 7.0), y.mean(1)))


@pytest.mark.law("A4", "A5")
@pytest.mark.parametrize("scale", [{}, {"scale": 2.0}], ids=["arrays", "number"])
@pytest.mark.parametrize("symbolic", [True, False], ids=["symbolic", "eager"])
def test_the_first_call_with_a_mask_carries_it_on_in_an_object(symbolic, scale):
    layer, x = FlaxLayer(MaskedPair()), embedded()
    layer(keras.KerasTensor(x.shape) if symbolic else array(x))
    for _ in range(2):
        steps, pooled = layer(x, **scale).values
        assert mask_on(steps) == MASK.tolist()
        assert mask_on(pooled) is None


@pytest.mark.law("A4")
def test_a_layer_that_was_built_without_a_mask_takes_one_later(close):
    layer, x = FlaxLayer(nn.MultiHeadDotProductAttention(2)), embedded()
    layer(array(x))
    close(
        np.asarray(layer(x)),
        np.asarray(raw(layer, array(x), mask=jnp.asarray(MASK)[:, None, None])),
    )


@pytest.mark.law("A4")
@pytest.mark.parametrize("norm", [nn.LayerNorm(), nn.BatchNorm(), nn.GroupNorm(2), nn.RMSNorm()])
def test_norms_are_left_alone(norm, close):
    x, layer = embedded(), FlaxLayer(norm)
    y = layer(x, training=True)
    plain = FlaxLayer(norm)
    close(np.asarray(y), np.asarray(plain(array(x), training=True)))
    assert mask_on(y) == MASK.tolist()


def fitted(layer, ids, target, *, functional):
    keras.utils.set_random_seed(3)
    embedding = keras.layers.Embedding(5, 4, mask_zero=True)
    if functional:
        inputs = keras.Input((None,), dtype="int32")
        model = keras.Model(inputs, layer(embedding(inputs)))
    else:
        model = keras.Sequential([embedding, layer])
        model.build((None, ids.shape[1]))
    model.compile("sgd", "mse")
    history = model.fit(ids, target, batch_size=2, epochs=2, shuffle=False, verbose=0)
    return history.history["loss"], model


@pytest.mark.law("A4")
@pytest.mark.parametrize("functional", [False, True])
def test_fit_counts_the_steps_that_count_behind_a_layer_of_keras(functional):
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(4, 4)).astype("float32"), np.ones(4, "float32")
    variables = {"params": {"kernel": kernel, "bias": bias}}
    target = rng.normal(size=(4, 4, 4)).astype("float32")
    native = keras.layers.Dense(4)
    native.build((None, 4, 4))
    native.set_weights([kernel, bias])
    ours, _ = fitted(
        FlaxLayer(nn.Dense(4), variables=variables), IDS, target, functional=functional
    )
    expected, _ = fitted(native, IDS, target, functional=functional)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


@pytest.mark.law("A4")
def test_what_pools_over_time_hands_no_mask_to_the_loss(tmp_path):
    target = np.random.default_rng(0).normal(size=(4, 4)).astype("float32")
    losses, model = fitted(FlaxLayer(Pooled()), IDS, target, functional=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    y = model.predict(IDS, verbose=0)
    # The loss of Keras over all examples, with no weight on any.
    expected = np.mean((np.asarray(y) - target) ** 2)
    for each in (model, loaded):
        np.testing.assert_allclose(each.evaluate(IDS, target, verbose=0), expected, rtol=1e-5)
    assert losses[1] < losses[0]


@pytest.mark.law("A4")
def test_a_layer_after_it_gets_the_mask_that_it_would_get_after_a_layer_of_keras(close):
    x, lstm = embedded(), keras.layers.LSTM(3)
    layer = FlaxLayer(nn.Dense(4))
    native = keras.layers.Dense(4)
    native.build((None, 4, 4))
    y = layer(x)
    params = layer.flax_variables()["params"]
    native.set_weights([np.asarray(params["kernel"]), np.asarray(params["bias"])])
    close(np.asarray(lstm(y)), np.asarray(lstm(native(x))))


@pytest.mark.law("A4")
@pytest.mark.parametrize(
    ("module", "travels"),
    [
        (nn.Conv(4, (3,)), True),
        (nn.Conv(4, (3,), strides=2), False),
        (nn.Conv(4, (3,), padding="VALID"), False),
        (nn.RNN(nn.SimpleCell(4)), True),
        (Pooled(), False),
    ],
)
def test_the_mask_travels_on_where_the_masked_dimensions_stay(module, travels):
    assert mask_on(FlaxLayer(module)(embedded())) == (MASK.tolist() if travels else None)


@pytest.mark.law("A4")
@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("form", [dict, Parts])
def test_each_output_of_a_tree_has_its_own_mask(form, functional):
    layer, seen = FlaxLayer(Several(form)), [Seen(), Seen()]
    embedding = keras.layers.Embedding(5, 4, mask_zero=True)
    ids = keras.Input((None,), dtype="int32") if functional else IDS
    outputs = layer(embedding(ids))
    part = outputs.__getitem__ if form is dict else outputs.__getattribute__
    ends = [seen[0](part("steps")), seen[1](part("pooled"))]
    if functional:
        keras.Model(ids, ends)(IDS)
    assert np.asarray(seen[0].mask).tolist() == MASK.tolist()
    assert seen[1].mask is None


@pytest.mark.law("A4")
def test_sown_values_have_no_mask_and_outputs_beside_them_keep_theirs():
    class Sows(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.sow("intermediates", "x", x)
            return nn.Dense(2)(x)

    y, sown = FlaxLayer(Sows(), return_sown=("intermediates",))(embedded())
    assert mask_on(y) == MASK.tolist()
    assert mask_on(sown["intermediates"]["x"][0]) is None


@pytest.mark.law("A4")
def test_a_mask_for_a_module_that_takes_none_is_refused():
    layer = FlaxLayer(nn.Dense(4), name="dense")
    with pytest.raises(CallArgumentError, match="got a mask, and takes none") as caught:
        layer(embedded(), mask=MASK)
    assert caught.value.law == "A4"
    assert not layer.built
    # As Keras's own does.
    with pytest.raises(TypeError, match="mask"):
        keras.layers.Dense(4)(embedded(), mask=MASK)
    assert mask_on(layer(embedded())) == MASK.tolist()


@pytest.mark.law("A4")
def test_a_mask_that_the_caller_gives_reaches_the_method_unchanged(close):
    x, layer = embedded(), FlaxLayer(nn.MultiHeadDotProductAttention(2))
    causal = np.tril(np.ones((4, 4), bool))
    close(np.asarray(layer(x, mask=causal)), np.asarray(raw(layer, array(x), mask=causal)))
    assert mask_on(layer(x, mask=causal)) == MASK.tolist()


@pytest.mark.law("A4")
def test_a_mask_of_the_callers_in_keras_s_form_travels_on_instead():
    layer, mine = FlaxLayer(Masked()), ~MASK
    y = layer(embedded(), mask=mine)
    assert (np.asarray(y)[MASK] == 7.0).all()
    assert mask_on(y) == mine.tolist()


@pytest.mark.law("A4")
def test_a_mask_of_numbers_reaches_the_method_as_booleans():
    class Numbers(keras.layers.Layer):
        def compute_mask(self, x, previous_mask=None):
            return keras.ops.cast(MASK, "float32")

        def call(self, x):
            return x * 1.0

    y = np.asarray(FlaxLayer(Masked())(Numbers()(np.ones((4, 4, 4), "float32"))))
    assert (y[~MASK] == 7.0).all()
    assert (y[MASK] != 7.0).all()


class Padded(nn.Module):
    @nn.compact
    def __call__(self, x, padding=None, mask=None):
        assert mask is None
        return x if padding is None else x * padding[..., None]


@pytest.mark.law("A4")
def test_another_argument_takes_the_mask_and_files_know_it(tmp_path, close):
    x = embedded()
    expected = np.asarray(x) * MASK[..., None]
    layer = FlaxLayer(Padded(), mask_arg="padding")
    close(np.asarray(layer(x)), expected)
    close(np.asarray(FlaxLayer.from_config(layer.get_config())(x)), expected)
    close(np.asarray(FlaxLayer(Padded(), mask_arg=None)(x)), np.asarray(x))
    method = layer.method("__call__", mask_arg="padding")
    close(np.asarray(method(x)), expected)
    assert method.get_config()["mask_arg"] == "padding"
    with pytest.raises(CallArgumentError, match="mask_arg='other'"):
        FlaxLayer(Padded(), mask_arg="other")
    with pytest.raises(DecodeModuleError, match="mask_arg"):
        FlaxLayer.from_config({**layer.get_config(), "mask_arg": 3})


@pytest.mark.law("A4")
def test_configurations_without_a_mask_argument_find_it():
    config = FlaxLayer(Masked()).get_config()
    del config["mask_arg"]
    y = np.asarray(FlaxLayer.from_config(config)(embedded()))
    assert (y[~MASK] == 7.0).all()


@pytest.mark.law("A4")
def test_a_layer_of_each_step_gets_no_mask_of_the_steps():
    x = embedded()
    for module in (nn.Dense(4), nn.LayerNorm()):
        wrapped = keras.layers.TimeDistributed(FlaxLayer(module))
        assert mask_on(wrapped(x)) == MASK.tolist()


@pytest.mark.law("A4")
@pytest.mark.parametrize("functional", [False, True])
def test_one_layer_called_twice_keeps_the_masks_apart(functional, close):
    embedding, layer = keras.layers.Embedding(5, 4, mask_zero=True), FlaxLayer(Masked())
    one, two = IDS, np.roll(IDS, 1, 0)
    expected = [layer(embedding(ids)) for ids in (one, two)]
    if functional:
        inputs = [keras.Input((None,), dtype="int32") for _ in range(2)]
        model = keras.Model(inputs, [layer(embedding(ids)) for ids in inputs])
        actual = model([one, two])
    else:
        actual = [layer(embedding(one)), layer(embedding(two))]
    for left, right, ids in zip(actual, expected, (one, two), strict=True):
        close(np.asarray(left), np.asarray(right))
        assert mask_on(left) == (ids != 0).tolist()


@pytest.mark.law("A4")
def test_compute_mask_answers_without_a_call():
    x = embedded()
    mask = keras.ops.convert_to_tensor(MASK)
    assert FlaxLayer(Pooled()).compute_mask(x, mask) is None
    assert FlaxLayer(nn.Dense(4)).compute_mask(x, mask) is mask
    assert FlaxLayer(nn.Dense(4)).compute_mask(x) is None


@pytest.mark.law("A4")
def test_attention_in_each_step_gets_the_mask_of_that_step(close):
    layer, rng = FlaxLayer(nn.MultiHeadDotProductAttention(2)), np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 4, 4)).astype("float32")
    mask = rng.random((2, 3, 4)) > 0.5
    mask[..., 0] = True
    y = keras.layers.TimeDistributed(layer)(x, mask=mask)
    for step in range(3):
        expected = raw(layer, x[:, step], mask=mask[:, step, None, None])
        close(np.asarray(y)[:, step], np.asarray(expected))


@pytest.mark.law("A4")
def test_attention_across_inputs_takes_the_mask_of_the_keys_from_files_too(tmp_path, close):
    layer = FlaxLayer(nn.MultiHeadDotProductAttention(2))
    embedding = keras.layers.Embedding(5, 4, mask_zero=True)
    query, ids = keras.Input((None, 4)), keras.Input((None,), dtype="int32")
    model = keras.Model([query, ids], layer(query, embedding(ids)))
    embedding.set_weights([np.eye(5, 4, dtype="float32")])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(4, 4, 4)).astype("float32")
    keys = np.eye(5, 4, dtype="float32")[IDS]
    expected = raw(layer, x, keys, mask=MASK[:, None, None])
    for each in (model, loaded):
        y = each([x, IDS])
        close(np.asarray(y), np.asarray(expected))
        assert mask_on(y) is None


class Weighted(nn.Module):
    @nn.compact
    def __call__(self, x, mask=None):
        return nn.Dense(2)(x) * mask[:, None]


@pytest.mark.law("A4")
def test_weights_that_a_caller_gives_as_a_mask_stay_as_they_are_in_a_stateless_call():
    layer, x = FlaxLayer(Weighted(), seed=0), np.ones((2, 3), np.float32)
    mask = np.array([0.25, 0.5], np.float32)
    expected = layer(x, mask=mask)
    raw = Weighted().apply(layer.flax_variables(), x, mask)
    values = [
        [v.value for v in part]
        for part in (layer.trainable_variables, layer.non_trainable_variables)
    ]
    outputs, _ = layer.stateless_call(*values, x, mask=keras.ops.convert_to_tensor(mask))
    np.testing.assert_allclose(np.asarray(expected), np.asarray(raw), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(outputs), np.asarray(raw), rtol=1e-5)


class Weighing(nn.Module):
    """Uses a mask of any form."""

    @nn.compact
    def __call__(self, x, mask=None):
        return nn.Dense(2)(x) * (1.0 if mask is None else mask.sum())


PAIRS = np.tril(np.ones((4, 4), bool))[None, None].repeat(2, 0)
GIVEN = {
    "causal": (nn.MultiHeadDotProductAttention(2), PAIRS),
    "keys": (nn.MultiHeadDotProductAttention(2), PAIRS[:, :, 2:3]),
    "of one array for all": (nn.MultiHeadDotProductAttention(2), PAIRS[0, 0]),
    "of more dimensions than the input": (Weighing(), PAIRS),
    "of a form of Keras": (Weighing(), PAIRS[:, 0, 2]),
    "of no dimension": (Weighing(), np.array(False)),
    "of numbers": (Weighing(), np.arange(3)),
}


@pytest.mark.law("A4")
@pytest.mark.parametrize("module, mask", GIVEN.values(), ids=GIVEN)
def test_any_mask_that_a_caller_gives_reaches_the_method_in_a_stateless_call(module, mask):
    x = np.random.default_rng(0).standard_normal((2, 4, 8)).astype(np.float32)
    layer = FlaxLayer(module, seed=0)
    layer(x)
    raw = module.apply(layer.flax_variables(), x, mask=mask)
    without = module.apply(layer.flax_variables(), x)
    values = layer.trainable_variables, layer.non_trainable_variables
    outputs, _ = layer.stateless_call(*values, x, mask=keras.ops.convert_to_tensor(mask))
    np.testing.assert_allclose(np.asarray(outputs), np.asarray(raw), rtol=1e-5, atol=1e-6)
    assert not np.allclose(np.asarray(raw), np.asarray(without))
    called = keras.ops.convert_to_tensor(layer(x, mask=mask))
    np.testing.assert_allclose(np.asarray(called), np.asarray(raw), rtol=1e-5, atol=1e-6)
