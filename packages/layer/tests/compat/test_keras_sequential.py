"""Sequential models are seen while they are built, and their inputs are left open."""

import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer.compat import keras_sequential as compat

X = np.ones((2, 4), np.float32)


@pytest.mark.law("A10")
def test_a_sequential_model_says_what_it_is_called_on_while_it_is_built():
    seen = []

    class Look(keras.layers.Layer):
        def call(self, x):
            return x

        def compute_output_spec(self, x):
            seen.extend(compat.sequential_builds())
            return keras.KerasTensor(x.shape, x.dtype)

    look = Look()
    model = keras.Sequential([keras.layers.Flatten(), look])
    model(jnp.ones((2, 3), jnp.int32))
    (build,) = seen
    assert (build.model, build.layer, build.given.dtype) == (model, look, jnp.int32)
    assert (build.tensor.dtype, build.passed_on("int32")) == ("float32", "int32")
    build.retype("int32")
    assert model.inputs[0].dtype == model.input_dtype == "int32"


@pytest.mark.law("A10")
def test_an_input_that_is_left_open_casts_nothing_until_it_is_closed():
    class Open(keras.layers.Layer):
        def call(self, x):
            return x

        def compute_output_spec(self, x):
            opened.extend(build.leave_open() for build in compat.sequential_builds())
            return keras.KerasTensor(x.shape, x.dtype)

    opened = []
    model = keras.Sequential([Open()])
    model.build((None, 3))
    assert model.inputs[0].dtype == "float32"
    assert keras.backend.standardize_dtype(model(jnp.ones((2, 3), jnp.int32)).dtype) == "int32"
    compat.close_input(opened[0], ["uint8"])
    assert type(model.inputs[0]) is keras.KerasTensor
    assert keras.backend.standardize_dtype(model(jnp.ones((2, 3), jnp.int32)).dtype) == "uint8"
