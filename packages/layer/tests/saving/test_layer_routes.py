"""A model of any structure comes back whole by every route (S2, S4)."""

import os
import subprocess
import sys
import textwrap

import flax.linen as nn
import keras
import numpy as np
import pytest

from packages.layer.tests.saving.models_by_route import (
    ROUTES,
    STRUCTURES,
    Net,
    X,
    by_file,
    functional,
    methods_alone,
    scramble,
    shared,
)


@pytest.mark.law("S4")
@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES)
def test_a_model_of_any_structure_predicts_the_same_bits_by_every_route(
    make, route, tmp_path, same_bits
):
    model, inputs = make()
    scramble(model)
    loaded = route(model, tmp_path)
    assert len(loaded.weights) == len(model.weights)
    expected = model.predict(inputs, verbose=0)
    same_bits(loaded.predict(inputs, verbose=0), expected)
    assert not ({id(v) for v in model.weights} & {id(v) for v in loaded.weights})


@pytest.mark.law("S1")
def test_what_is_loaded_is_what_raw_apply_gives_with_the_loaded_variables(tmp_path):
    model, _ = functional()
    scramble(model)
    loaded = by_file(model, tmp_path)
    expected = Net().apply(loaded.layers[1].flax_variables(), X)
    np.testing.assert_allclose(loaded.predict(X, verbose=0), expected, rtol=1e-6)
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-6)


@pytest.mark.law("S4")
@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_layers_that_share_weights_share_them_after_every_route(route, tmp_path):
    model, _ = shared()
    loaded = route(model, tmp_path)
    whole = loaded.get_layer("whole")
    assert loaded.get_layer("code").layer is whole
    assert loaded.get_layer("back").layer is whole
    assert whole is not model.get_layer("whole")


@pytest.mark.law("S4")
def test_two_clones_of_one_model_do_not_share_with_each_other():
    model, _ = methods_alone()
    first, second = (keras.models.clone_model(model) for _ in range(2))
    assert first.layers[1].layer is first.layers[2].layer
    assert first.layers[1].layer is not second.layers[1].layer
    assert first.layers[1].layer is not model.layers[1].layer


@pytest.mark.law("S4")
def test_two_loads_of_one_file_do_not_share_with_each_other(tmp_path):
    model, _ = shared()
    model.save(tmp_path / "model.keras")
    first, second = (keras.models.load_model(tmp_path / "model.keras") for _ in range(2))
    assert first.get_layer("whole") is not second.get_layer("whole")
    assert second.get_layer("code").layer is second.get_layer("whole")


@pytest.mark.law("S4")
def test_training_goes_on_after_loading_as_if_nothing_had_happened(tmp_path, same_bits):
    def fit(model):
        model.fit(X, np.ones((3, 2), np.float32), epochs=2, shuffle=False, verbose=0)

    model, _ = functional(seed=5)
    model.compile(keras.optimizers.Adam(0.1), "mse")
    fit(model)
    loaded = by_file(model, tmp_path)
    # Keras stores no seed generator, of Dropout or any other layer: draws begin anew.
    assert loaded.layers[1].seed_generator.state.numpy().tolist() == [5, 0]
    loaded.layers[1].seed_generator.state.assign(model.layers[1].seed_generator.state.numpy())
    fit(model)
    fit(loaded)
    same_bits(loaded.get_weights(), model.get_weights())


SECOND_PROCESS = """
    import sys
    import flax.linen as nn, keras, numpy as np
    import flaxlayer

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(x)

    Net.__module__ = "elsewhere"
    path, x, expected = sys.argv[1], np.load(sys.argv[2]), np.load(sys.argv[3])
    try:
        keras.models.load_model(path)
    except (flaxlayer.FlaxLayerError, TypeError) as error:
        text = str(error)
        assert "Net" in text and "flaxlayer.register" in text and "custom_objects" in text, text
    else:
        raise AssertionError("a class was resolved that nobody made known")
    by_objects = keras.models.load_model(path, custom_objects={"Net": Net})
    assert (by_objects.predict(x, verbose=0) == expected).all()
    flaxlayer.register(Net)
    by_name = keras.models.load_model(path)
    assert (by_name.predict(x, verbose=0) == expected).all()
"""


@pytest.mark.law("S2")
def test_a_second_process_needs_the_class_registered_or_in_custom_objects(tmp_path):
    script = textwrap.dedent(SECOND_PROCESS)
    (tmp_path / "load.py").write_text(script)
    model, _ = functional(_plain_net())
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", model.predict(X, verbose=0))
    files = [str(tmp_path / name) for name in ("load.py", "model.keras", "x.npy", "y.npy")]
    done = subprocess.run(
        [sys.executable, *files], env=os.environ.copy(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


def _plain_net():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(x)

    Net.__qualname__ = "Net"
    Net.__module__ = "elsewhere"
    return Net()
