"""A load that fails or is interrupted leaves the layer as it was (S6)."""

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer, FlaxMethod
from flaxlayer.backends import current_backend
from flaxlayer_core import FlaxLayerError, MatchWeightsFileError

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(3)(x)
        return nn.Dense(2)(nn.BatchNorm(use_running_average=not train)(x))


class Scaled(FlaxLayer):
    """A subclass with a weight that it has from the start, and one that it makes at build."""

    def __init__(self, module, **kwargs):
        super().__init__(module, **kwargs)
        self.scale = self.add_weight(shape=(2,), initializer="ones", name="scale")

    def build(self, input_shape=None):
        super().build(input_shape)
        self.shift = self.add_weight(shape=(2,), initializer="zeros", name="shift")

    def call(self, x):
        return self.scale * super().call(x) + self.shift


def built(cls=FlaxLayer, **kwargs):
    layer = cls(Net(), **kwargs)
    layer(X)
    return layer


def stored(layer):
    """What a file has of a layer whose variables are all 7."""
    store = {}
    layer.save_own_variables(store)
    return {k: np.asarray(v) if k == "%inputs" else np.full(v.shape, 7.0) for k, v in store.items()}


@pytest.fixture
def stop(monkeypatch):
    """Stops after a number of assignments: `stop(count, error)`."""

    def after(count, error):
        real, seen = keras.Variable.assign, []

        def assign(variable, value):
            seen.append(variable)
            if len(seen) == count + 1:
                raise error
            return real(variable, value)

        monkeypatch.setattr(keras.Variable, "assign", assign)
        return seen

    return after


def set_all(layer, store):
    layer.set_weights([np.full(variable.shape, 7.0) for variable in layer.weights])


def load_tree(layer, store):
    layer.load_flax_variables(jax.tree.map(lambda leaf: leaf * 0 + 7, layer.flax_variables()))


ROUTES = {
    "weights file": lambda layer, store: layer.load_own_variables(store),
    "tree": load_tree,
    "set_weights": set_all,
}
ERRORS = {"interrupt": KeyboardInterrupt(), "failure": RuntimeError("device is gone")}


@pytest.mark.law("S6")
@pytest.mark.parametrize("count", [0, 1, 4, 7])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("route", ROUTES)
def test_what_stops_a_load_leaves_the_layer_as_it_was(route, error, count, stop, same_bits):
    layer = built()
    before, store = layer.get_weights(), stored(layer)
    seen = stop(count, ERRORS[error])
    with pytest.raises(type(ERRORS[error])):
        ROUTES[route](layer, store)
    assert len(seen) > count
    same_bits(layer.get_weights(), before)


@pytest.mark.law("S6")
@pytest.mark.parametrize("route", ROUTES)
def test_a_load_that_is_not_stopped_changes_everything(route):
    layer = built()
    ROUTES[route](layer, stored(layer))
    assert all((value == 7).all() for value in layer.get_weights())


class Failing(dict):
    """A file one of whose arrays cannot be read."""

    def __init__(self, values, bad, error):
        super().__init__(values)
        self.bad, self.error, self.asked = bad, error, 0

    def __getitem__(self, key):
        self.asked += key == self.bad
        if key == self.bad and self.asked > 1:  # its header can be read
            raise self.error
        return super().__getitem__(key)


@pytest.mark.law("S6")
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("inflate() failed")], ids=repr)
@pytest.mark.parametrize("cls", [FlaxLayer, Scaled])
def test_an_array_that_cannot_be_read_leaves_the_layer_as_it_was(cls, error, same_bits):
    layer = built(cls)
    before, store = layer.get_weights(), stored(layer)
    with pytest.raises((KeyboardInterrupt, MatchWeightsFileError)):
        layer.load_own_variables(Failing(store, list(store)[-1], error))
    same_bits(layer.get_weights(), before)


@pytest.mark.law("S6")
@pytest.mark.parametrize("bad", [1, 4, -1])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("inflate() failed")], ids=repr)
@pytest.mark.parametrize("cls", [FlaxLayer, Scaled])
def test_a_layer_that_a_file_could_not_build_is_as_before(cls, error, bad, same_bits):
    store = stored(built(cls, seed=3))
    layer = cls(Net(), seed=3)
    attributes = set(vars(layer))
    weights = [variable.path for variable in layer.weights]
    with pytest.raises((KeyboardInterrupt, MatchWeightsFileError)):
        layer.load_own_variables(Failing(store, list(store)[bad], error))
    assert not layer.built
    assert [variable.path for variable in layer.weights] == weights
    assert layer.get_build_config() is None
    assert set(vars(layer)) - {"_refusal"} == attributes
    layer.load_own_variables(store)
    assert layer.built
    assert all((value == 7).all() for value in layer.get_weights())
    same_bits(layer(X), built_by_hand(cls, store)(X))


def built_by_hand(cls, store):
    layer = built(cls)
    layer.load_own_variables(store)
    return layer


@pytest.mark.law("S6")
def test_a_file_that_lacks_what_a_subclass_added_does_not_build_the_layer():
    store = stored(built(Scaled))
    layer = Scaled(Net())
    with pytest.raises(FlaxLayerError, match=r"missing %own\.1"):
        layer.load_own_variables({key: value for key, value in store.items() if key != "%own.1"})
    assert not layer.built
    assert len(layer.weights) == 1
    layer(X)
    assert len(layer.weights) == 10


@pytest.mark.law("S6")
def test_a_layer_whose_dtypes_were_supposed_keeps_them_where_a_file_fails(same_bits):
    store = stored(built())
    layer = FlaxLayer(Net())
    layer.build((None, 4))
    before, variables = layer.get_weights(), [id(variable) for variable in layer.weights]
    key = list(store)[-1]
    with pytest.raises(MatchWeightsFileError):
        layer.load_own_variables(Failing(store, key, OSError("inflate() failed")))
    assert [id(variable) for variable in layer.weights] == variables
    same_bits(layer.get_weights(), before)
    layer(X)


@pytest.mark.law("S6")
def test_layers_before_the_one_that_fails_are_loaded_whole_and_later_ones_are_whole(tmp_path):
    """Keras loads a model layer by layer: each is as the file has it, or as it was."""

    def model():
        return keras.Sequential([keras.Input((4,)), *(FlaxLayer(nn.Dense(4)) for _ in range(3))])

    saved, loaded = model(), model()
    for variable in saved.weights:
        variable.assign(np.full(variable.shape, 7.0))
    saved.save_weights(tmp_path / "m.weights.h5")
    before = [layer.get_weights() for layer in loaded.layers]
    second = loaded.layers[1].weights[1]

    def fail(value):
        raise KeyboardInterrupt

    second.assign = fail
    with pytest.raises(KeyboardInterrupt):
        loaded.load_weights(tmp_path / "m.weights.h5")
    del second.assign
    seven = [all((value == 7).all() for value in layer.get_weights()) for layer in loaded.layers]
    assert seven == [True, False, False]
    for layer, values in zip(loaded.layers[1:], before[1:], strict=True):
        for left, right in zip(layer.get_weights(), values, strict=True):
            np.testing.assert_array_equal(left, right)


class Shifted(FlaxMethod):
    """A method with two weights of its own, as a subclass may have them."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.shift = self.add_weight(shape=(2,), initializer="zeros")
        self.scale = self.add_weight(shape=(2,), initializer="ones")


@pytest.mark.law("S6")
@pytest.mark.parametrize(
    ("store", "found"),
    [
        ({}, "missing 0; missing 1"),
        ({"0": np.ones(2), "1": np.ones(3)}, "1 has shape [3], not [2]"),
        ({"0": np.ones(2), "1": np.array(["a", "b"])}, "1 is <U1"),
        ({"0": np.ones(2), "1": np.ones(2), "a": np.ones(2)}, "extra a"),
        (Failing({"0": np.ones(2), "1": np.ones(2)}, "1", OSError("damaged")), "damaged"),
    ],
    ids=["empty", "shape", "text", "extra", "damaged"],
)
def test_what_a_file_has_for_a_method_is_checked_as_for_a_layer(store, found, same_bits):
    method = Shifted(built(), "__call__")
    before = method.get_weights()
    with pytest.raises(MatchWeightsFileError) as caught:
        method.load_own_variables(store)
    assert found in caught.value.found
    same_bits(method.get_weights(), before)


@pytest.mark.law("W5")
def test_what_a_subclass_of_a_method_added_comes_back():
    saved, loaded, store = Shifted(built(), "__call__"), Shifted(built(), "__call__"), {}
    saved.shift.assign([3.0, 4.0])
    saved.save_own_variables(store)
    loaded.load_own_variables({key: np.asarray(value) for key, value in store.items()})
    assert loaded.shift.numpy().tolist() == [3.0, 4.0]


@pytest.mark.law("B6")
@pytest.mark.parametrize(("route", "kept"), [("load_model", 0), ("load_weights", 2)])
def test_a_load_keeps_old_values_of_layers_alone_that_were_there_before(
    route, kept, tmp_path, monkeypatch
):
    model = keras.Sequential([keras.Input((4,)), FlaxLayer(nn.Dense(3))])
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    backend, seen = type(current_backend()), []
    keep = backend.keep
    monkeypatch.setattr(backend, "keep", lambda self, v: seen.append(v.path) or keep(self, v))
    if route == "load_model":
        loaded = keras.models.load_model(tmp_path / "model.keras")
    else:
        loaded = model
        model.load_weights(tmp_path / "model.weights.h5")
    assert len([path for path in seen if "/params/" in path]) == kept
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
