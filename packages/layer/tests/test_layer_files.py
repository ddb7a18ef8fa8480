"""Nothing is lost in silence: trained weights come back into layers that are not built (W4, W5)."""

import flax.linen as nn
import h5py
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer
from flaxlayer_core import MatchWeightsFileError

# Keras says so of any subclassed model within another, of its own layers too.
pytestmark = pytest.mark.filterwarnings("ignore:`build\\(\\)` was called on layer")

TOKENS = np.array([[1, 2, 3], [4, 5, 6]], np.int32)
FLOATS = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)


class Tok(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        return nn.Dense(2)(nn.Embed(10, 4)(tokens).mean(1))


class NnxTok(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(10, 4, rngs=rngs)
        self.dense = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, tokens):
        return self.dense(self.embed(tokens).mean(1))


class TwoInputs(nn.Module):
    @nn.compact
    def __call__(self, tokens, floats, scale=1.0):
        return nn.Dense(2)(nn.Embed(10, 3)(tokens).mean(1) + floats) * scale


class DictInput(nn.Module):
    @nn.compact
    def __call__(self, batch):
        return nn.Dense(2)(nn.Embed(10, 3)(batch["tokens"]).mean(1) + batch["floats"])


class Wide(nn.Module):
    """The dtype of its weights is that of its input."""

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.ones, (3, 2), x.dtype)
        return jnp.real(x @ kernel)


class Heavy(nn.Module):
    @nn.compact
    def __call__(self, x, depth):
        for _ in range(depth):
            x = nn.Dense(3)(x)
        return x


class Coder(nn.Module):
    def setup(self):
        self.embed = nn.Embed(10, 4)
        self.dense = nn.Dense(3)

    def __call__(self, tokens):
        return self.decode(self.encode(tokens))

    def encode(self, tokens):
        return self.embed(tokens).mean(1)

    def decode(self, code):
        return self.dense(code)


def in_package(cls):
    return keras.saving.register_keras_serializable(package="kept")(cls)


@in_package
class Alone(keras.Model):
    make = staticmethod(lambda: FlaxLayer(Tok()))

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.f = self.make()

    def call(self, x):
        return self.f(x)


@in_package
class WithNnx(Alone):
    make = staticmethod(lambda: FlaxLayer(NnxTok))


@in_package
class WithDict(Alone):
    make = staticmethod(lambda: FlaxLayer(DictInput()))


@in_package
class WithComplex(Alone):
    make = staticmethod(lambda: FlaxLayer(Wide()))


@in_package
class WithTwo(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.f = FlaxLayer(TwoInputs())

    def call(self, inputs):
        tokens, floats = inputs
        return self.f(tokens, floats=floats)


@in_package
class WithStatic(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.f = FlaxLayer(Heavy())

    def call(self, x):
        return self.f(x, depth=2)


@in_package
class WithContainers(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [FlaxLayer(Tok()), FlaxLayer(Tok())]
        self.heads = {"a": FlaxLayer(nn.Dense(2)), "b": [FlaxLayer(NnxTok)]}

    def call(self, x):
        return self.heads["a"](self.blocks[0](x) + self.blocks[1](x)) + self.heads["b"][0](x)


@in_package
class WithMethods(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.coder = FlaxLayer(Coder(), init_method="__call__")
        self.encode, self.decode = self.coder.method("encode"), self.coder.method("decode")

    def call(self, x):
        return self.decode(self.encode(x)) + self.coder(x)


@in_package
class Outer(keras.Model):
    """Two parents of one layer, behind a native one."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second = Alone(), Alone()
        self.second.f = self.first.f
        self.zebra = Alone()
        self.dense = keras.layers.Dense(2)

    def call(self, x):
        return self.dense(self.first(x) + self.second(x) + self.zebra(x))


@in_package
class Behind(keras.layers.Layer):
    """A custom layer that has one inside, and no `build` of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.f = FlaxLayer(Tok())

    def call(self, x):
        return self.f(x)


def functional():
    tensor = keras.Input((3,), dtype="int32")
    return keras.Model(tensor, Behind()(tensor))


MODELS = {
    "tokens": (Alone, TOKENS),
    "nnx": (WithNnx, TOKENS),
    "dict": (WithDict, {"tokens": TOKENS, "floats": FLOATS}),
    "complex": (WithComplex, FLOATS + 1j * FLOATS),
    "two": (WithTwo, [TOKENS, FLOATS]),
    "static": (WithStatic, FLOATS),
    "containers": (WithContainers, TOKENS),
    "methods": (WithMethods, TOKENS),
    "nested": (Outer, TOKENS),
    "functional": (functional, TOKENS),
}


def trained(make, inputs, seed=1):
    """A model with weights that no initialiser gives, and what they are."""
    model = make()
    model(inputs)
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(rng.uniform(0.5, 1.0, variable.shape))
    return model, [np.asarray(variable) for variable in model.weights]


def same_weights(model, expected):
    found = [np.asarray(variable) for variable in model.weights]
    assert len(found) == len(expected)
    for left, right in zip(found, expected, strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


@pytest.mark.law("W4")
@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_is_loaded_has_its_weights_whatever_its_inputs(name, tmp_path, same_bits):
    make, inputs = MODELS[name]
    model, expected = trained(make, inputs)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    same_weights(loaded, expected)
    same_bits(np.asarray(loaded(inputs)), np.asarray(model(inputs)))
    same_weights(loaded, expected)


@pytest.mark.law("W4")
def test_training_goes_on_after_loading_a_subclassed_model(tmp_path):
    model = Alone()
    model.compile(keras.optimizers.Adam(0.1), "mse")
    model.fit(TOKENS, np.ones((2, 2), np.float32), epochs=2, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert len(loaded.optimizer.variables) == len(model.optimizer.variables)
    for each in (model, loaded):
        each.fit(TOKENS, np.ones((2, 2), np.float32), epochs=2, verbose=0)
    for left, right in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6)


def weights_file(tmp_path, model, **kwargs):
    path = tmp_path / ("m.weights.json" if kwargs else "m.weights.h5")
    model.save_weights(path, **kwargs)
    return path


@pytest.mark.law("W4")
@pytest.mark.parametrize("name", ["tokens", "nnx", "two", "containers", "methods"])
def test_weights_alone_build_the_layers_that_they_are_for(name, tmp_path):
    make, inputs = MODELS[name]
    model, expected = trained(make, inputs)
    fresh = make()
    fresh.built = True  # as Keras says of a model whose layers it could not build
    fresh.load_weights(weights_file(tmp_path, model))
    same_weights(fresh, expected)


@pytest.mark.law("W4")
def test_weights_in_several_files_come_back(tmp_path):
    if not hasattr(keras.src.saving.saving_lib, "ShardedH5IOStore"):
        pytest.skip("since Keras 3.10")
    model, expected = trained(*MODELS["containers"])
    fresh = WithContainers()
    fresh.built = True
    fresh.load_weights(weights_file(tmp_path, model, max_shard_size=3e-7))
    assert len(list(tmp_path.glob("*.h5"))) > 1
    same_weights(fresh, expected)


@pytest.mark.law("W4")
def test_a_model_in_a_folder_comes_back(tmp_path):
    model, expected = trained(*MODELS["tokens"])
    model.save(tmp_path / "folder", zipped=False)
    same_weights(keras.saving.load_model(tmp_path / "folder"), expected)


@pytest.mark.law("W4")
def test_what_a_file_says_of_the_inputs_wins_over_a_build_from_shapes(tmp_path):
    model, expected = trained(*MODELS["complex"])
    fresh = WithComplex()
    fresh.f.build((None, 3))
    fresh.built = True
    assert fresh.f.weights[0].dtype == "float32"
    fresh.load_weights(weights_file(tmp_path, model))
    same_weights(fresh, expected)
    np.testing.assert_array_equal(fresh(MODELS["complex"][1]), model(MODELS["complex"][1]))


@pytest.mark.law("W4")
@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("left", [(), ("params.Dense_0.bias",), ("%inputs",)])
def test_a_group_that_is_empty_or_lacks_an_array_never_counts_as_loaded(tmp_path, left, built):
    model, _ = trained(*MODELS["tokens"])
    path = weights_file(tmp_path, model)
    with h5py.File(path, "a") as file:
        for key in set(file["f/vars"]) - set(left):
            del file["f/vars"][key]
    fresh = trained(*MODELS["tokens"], seed=2)[0] if built else Alone()
    fresh.built = True
    before = [np.asarray(variable) for variable in fresh.weights]
    with pytest.raises(ValueError, match="does not find its variables"):
        fresh.load_weights(path)
    same_weights(fresh, before)


@pytest.mark.law("W4")
def test_a_layer_without_a_group_never_counts_as_loaded(tmp_path):
    model, _ = trained(*MODELS["tokens"])
    path = weights_file(tmp_path, model)
    with h5py.File(path, "a") as file:
        del file["f"]
    fresh = Alone()
    fresh.built = True
    with pytest.raises(ValueError, match="does not find its variables"):
        fresh.load_weights(path)


@pytest.mark.law("W4")
def test_a_layer_without_weights_that_failed_is_not_forgotten(tmp_path):
    class Silent(keras.Model):
        def __init__(self):
            super().__init__()
            self.f = FlaxLayer(nn.Dropout(0.5))

        def call(self, x):
            return self.f(x)

    model = Silent()
    model(FLOATS)
    path = weights_file(tmp_path, model)
    model.load_weights(path)
    with h5py.File(path, "a") as file:
        file["f/vars"]["params.kernel"] = np.ones(3)
    with pytest.raises(ValueError, match=r"extra params\.kernel"):
        model.load_weights(path)


@pytest.mark.law("W4")
def test_a_layer_that_was_not_built_when_saved_is_not_built_when_loaded(tmp_path):
    @in_package
    class Spare(Alone):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.spare = FlaxLayer(nn.Dense(2))

    model, expected = trained(Spare, TOKENS)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    same_weights(loaded, expected)
    assert loaded.spare.weights == []


@pytest.mark.law("W4")
def test_a_mismatch_that_may_be_skipped_leaves_the_layer_as_it_was(tmp_path):
    @in_package
    class Larger(Alone):
        make = staticmethod(lambda: FlaxLayer(nn.Embed(10, 3)))

    model, _ = trained(*MODELS["tokens"])
    path = weights_file(tmp_path, model)
    larger, before = trained(Larger, TOKENS)
    with pytest.warns(UserWarning, match="could not be loaded"):
        larger.load_weights(path, skip_mismatch=True)
    same_weights(larger, before)


@pytest.mark.law("W4")
def test_static_arguments_that_no_file_can_hold_do_not_keep_weights_out_of_it(tmp_path):
    class Applied(nn.Module):
        @nn.compact
        def __call__(self, x, function):
            return function(nn.Dense(2)(x))

    layer, store = FlaxLayer(Applied()), {}
    layer(FLOATS, function=lambda x: x)
    layer.save_own_variables(store)
    layer.load_own_variables(store)
    with pytest.raises(MatchWeightsFileError, match="not built"):
        FlaxLayer(Applied()).load_own_variables(store)
