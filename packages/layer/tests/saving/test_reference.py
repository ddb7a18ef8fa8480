"""Files that `keras.layers.FlaxLayer` wrote open with this layer (W3)."""

import json
import zipfile

import flax.linen as nn
import h5py
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer, load_reference_model
from flaxlayer_core import DecodeModuleError
from packages.layer.tests.reference_pairs import BESIDE_THE_REFERENCE

# Keras warns before it raises what this layer raised.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning"),
    pytest.mark.usefixtures("reference"),
    BESIDE_THE_REFERENCE,
]

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


@keras.saving.register_keras_serializable("reference_tests")
class Net(nn.Module):
    """A module as the reference can save it: with `get_config` and `from_config` of its own."""

    width: int = 3

    @nn.compact
    def __call__(self, inputs, training=False):
        x = nn.Dense(self.width)(inputs)
        x = nn.BatchNorm(use_running_average=not training)(x)
        return nn.Dense(2)(x)

    def encode(self, inputs):
        return self(inputs)

    def get_config(self):
        return {"width": self.width}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class Half(Net):
    @nn.compact
    def __call__(self, inputs):
        return nn.Dense(2, param_dtype=jnp.bfloat16, dtype=jnp.float32)(inputs)


@keras.saving.register_keras_serializable("reference_tests")
def doubled(module, inputs, training):
    return 2 * module(inputs, training=training)


# Older Keras stores a function without the package that it is registered under.
STORED_NAME = keras.saving.serialize_keras_object(doubled)["config"]
NAMED_BARELY = {"doubled": doubled} if STORED_NAME == "doubled" else None


@keras.saving.register_keras_serializable("reference_tests")
class Subclassed(keras.Model):
    def __init__(self, body=keras.layers.FlaxLayer, **kwargs):
        super().__init__(**kwargs)
        self.body = body(Net())

    def call(self, x, training=False):
        return self.body(x, training=training)


def reference_layer(module=None, **kwargs):
    return keras.layers.FlaxLayer(module or Net(), **kwargs)


def functional(layer):
    tensor = keras.Input((4,))
    return keras.Model(tensor, layer(tensor))


def nested():
    tensor = keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), reference_layer(), keras.layers.ReLU()])
    return keras.Model(tensor, [inner(tensor), reference_layer(Net(5))(tensor)])


def scramble(model):
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.uniform(0.1, 1.0, variable.shape))


MODELS = {
    "functional": lambda: functional(reference_layer()),
    "sequential": lambda: keras.Sequential([keras.Input((4,)), reference_layer()]),
    "nested": nested,
    "named_method": lambda: functional(reference_layer(m := Net(), method=m.encode)),
    "function_method": lambda: functional(reference_layer(method=doubled)),
    "half_policy": lambda: functional(reference_layer(dtype="mixed_bfloat16")),
}


@pytest.mark.law("W3")
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_model_of_the_reference_opens_and_predicts_the_same(make, tmp_path):
    model = make()
    scramble(model)
    model.save(tmp_path / "model.keras")
    before = (tmp_path / "model.keras").read_bytes()
    loaded = load_reference_model(tmp_path / "model.keras", custom_objects=NAMED_BARELY)
    assert any(isinstance(layer, FlaxLayer) for layer in loaded._flatten_layers())
    assert not any(type(layer) is keras.layers.FlaxLayer for layer in loaded._flatten_layers())
    for ours, theirs in zip(
        jax.tree.leaves(loaded.predict(X, verbose=0)),
        jax.tree.leaves(model.predict(X, verbose=0)),
        strict=True,
    ):
        assert ours.dtype == theirs.dtype
        tolerance = 2e-2 if ours.dtype == jnp.bfloat16 else 1e-6
        np.testing.assert_allclose(
            np.asarray(ours, np.float32), np.asarray(theirs, np.float32), rtol=tolerance
        )
    assert (tmp_path / "model.keras").read_bytes() == before


@pytest.mark.law("W3")
def test_a_compiled_model_of_the_reference_trains_on(tmp_path):
    model = functional(reference_layer())
    model.compile(keras.optimizers.Adam(0.1), "mse")
    model.fit(X, np.ones((2, 2), np.float32), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = load_reference_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations.value) == 1
    for each in (model, loaded):
        each.fit(X, np.ones((2, 2), np.float32), shuffle=False, verbose=0)
    ours, theirs = jax.tree.leaves((loaded.layers[1].params, loaded.layers[1].state)), model.weights
    for left, right in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(left.numpy(), right.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.law("W3")
def test_what_was_opened_is_saved_in_the_form_of_this_layer(tmp_path, same_bits):
    functional(reference_layer()).save(tmp_path / "model.keras")
    loaded = load_reference_model(tmp_path / "model.keras")
    loaded.save(tmp_path / "own.keras")
    again = keras.models.load_model(tmp_path / "own.keras")
    same_bits(again.predict(X, verbose=0), loaded.predict(X, verbose=0))


@pytest.mark.law("W3")
def test_a_weights_file_of_the_reference_loads_params_and_state_in_their_places(tmp_path):
    reference = functional(reference_layer())
    scramble(reference)
    reference.save_weights(tmp_path / "m.weights.h5")
    model = functional(FlaxLayer(Net()))
    model.load_weights(tmp_path / "m.weights.h5")
    ours, theirs = model.layers[1], reference.layers[1]
    for left, right in zip(
        jax.tree.leaves((ours.params, ours.state)),
        jax.tree.leaves((theirs.params, theirs.state)),
        strict=True,
    ):
        np.testing.assert_array_equal(left.numpy(), right.numpy())
    expected = Net().apply(ours.flax_variables(), X)
    np.testing.assert_allclose(reference.predict(X, verbose=0), expected, rtol=1e-6)


@pytest.mark.law("W3")
def test_floats_of_the_layer_s_dtype_go_back_to_the_module_s(tmp_path):
    reference = functional(reference_layer(Half()))
    assert reference.weights[1].dtype == "float32"
    reference.save_weights(tmp_path / "m.weights.h5")
    model = functional(FlaxLayer(Half()))
    model.load_weights(tmp_path / "m.weights.h5")
    kernel = model.layers[1].params["params"]["Dense_0"]["kernel"]
    assert kernel.dtype == "bfloat16"
    np.testing.assert_array_equal(kernel.numpy(), reference.weights[1].numpy())


@pytest.mark.law("W3")
@pytest.mark.parametrize("key", ["1", "5", "6"])
def test_a_misshapen_entry_of_the_reference_is_refused_and_changes_nothing(
    key, tmp_path, same_bits
):
    functional(reference_layer()).save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "a") as file:
        group = file["layers/flax_layer/vars"]
        shape = group[key].shape
        del group[key]
        group[key] = np.ones((*shape, 2))
    model = functional(FlaxLayer(Net()))
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"{key} has shape"):
        model.load_weights(tmp_path / "m.weights.h5")
    same_bits(model.get_weights(), before)


@pytest.mark.law("W3")
def test_a_missing_entry_of_the_reference_is_refused(tmp_path):
    functional(reference_layer()).save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "a") as file:
        del file["layers/flax_layer/vars"]["7"]
    with pytest.raises(ValueError, match="missing 7"):
        functional(FlaxLayer(Net())).load_weights(tmp_path / "m.weights.h5")


def unregistered():
    class Local(nn.Module):
        @nn.compact
        def __call__(self, inputs):
            return nn.Dense(2)(inputs)

        def get_config(self):
            return {}

        @classmethod
        def from_config(cls, config):
            return cls(**config)

    return Local


@pytest.mark.law("S2")
def test_an_unregistered_module_class_is_named_with_the_fix_and_taken_from_custom_objects(tmp_path):
    cls = unregistered()
    model = functional(reference_layer(cls()))
    model.save(tmp_path / "model.keras")
    with pytest.raises(DecodeModuleError, match="Local") as caught:
        load_reference_model(tmp_path / "model.keras")
    assert "flaxlayer.register" in caught.value.fix
    loaded = load_reference_model(tmp_path / "model.keras", custom_objects={"Local": cls})
    np.testing.assert_allclose(loaded.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-6)


def rewritten(tmp_path, edit):
    functional(reference_layer()).save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as old:
        contents = {name: old.read(name) for name in old.namelist()}
    config = json.loads(contents["config.json"])
    edit(config["config"]["layers"][1]["config"])
    with zipfile.ZipFile(tmp_path / "edited.keras", "w") as new:
        for name, content in contents.items():
            new.writestr(name, json.dumps(config) if name == "config.json" else content)
    return tmp_path / "edited.keras"


@pytest.mark.law("S2")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("module", {"module": "os", "class_name": "system", "config": {}}),
        ("module", {"module": "keras.utils", "class_name": "get_file", "config": {}}),
        ("module", {"module": "builtins", "class_name": "eval", "config": "1"}),
        ("method", "__init__"),
        ("method", "get_config.__globals__"),
        ("method", {"module": "os", "class_name": "function", "config": "system"}),
        ("method", {"class_name": "__lambda__", "config": {"value": "AAAA"}}),
    ],
)
def test_a_hostile_file_in_the_form_of_the_reference_is_refused(field, value, tmp_path):
    path = rewritten(tmp_path, lambda config: config.update({field: value}))
    with pytest.raises(ValueError, match=r"Law: (S2|S3|A3)"):
        load_reference_model(path)


@pytest.mark.law("S3")
@pytest.mark.parametrize("content", [b"", b"no zip", None], ids=str)
def test_what_is_no_keras_file_is_refused(content, tmp_path):
    if content is not None:
        (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(DecodeModuleError, match=r"model\.keras"):
        load_reference_model(tmp_path / "model.keras")


@pytest.mark.law("S3")
def test_a_file_that_expands_beyond_measure_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("model.weights.h5", "w") as entry:
            for _ in range(80):
                entry.write(bytes(1 << 20))
        file.writestr("config.json", "{}")
    with pytest.raises(DecodeModuleError, match=r"model\.weights\.h5 of"):
        load_reference_model(tmp_path / "bomb.keras")


@pytest.mark.law("W3")
def test_a_model_without_the_reference_opens_as_load_model_does(tmp_path, same_bits):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    loaded = load_reference_model(str(tmp_path / "model.keras"))
    same_bits(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
