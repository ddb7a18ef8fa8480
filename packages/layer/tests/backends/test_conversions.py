"""What `jax2tf` makes of a call is what TensorFlow alone can run, or is refused by name (S4)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer, export
from flaxlayer_core import LowerModuleError

tensorflow = pytest.importorskip("tensorflow")
jax2tf = pytest.importorskip("jax.experimental.jax2tf")
conversions = pytest.importorskip("flaxlayer.backends.conversions")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.jax_only("Keras converts by jax2tf"),
    pytest.mark.law("S4"),
]


class Applies(nn.Module):
    function: object

    @nn.compact
    def __call__(self, x):
        return self.function(nn.Dense(3)(x))


def _factor(x):
    return jnp.linalg.cholesky(x @ jnp.swapaxes(x, 1, 2) + jnp.eye(3))


def _converted(function, *shape):
    """Converts a call of one array as a layer calls it in a trace of `jax2tf`."""

    def call(x):
        # Asked for in the trace, as a backend is.
        portable = conversions.convert_portably(lambda values, seed, arrays: [function(*arrays)])
        (result,) = portable([], 0, [x])
        return result

    names = ", ".join("batch" if size is None else str(size) for size in shape)
    convert = jax2tf.convert(call, polymorphic_shapes=[f"({names})"])
    return tensorflow.function(convert, [tensorflow.TensorSpec(shape)], autograph=False)


def test_a_call_runs_on_any_batch_and_has_its_gradient():
    run = _converted(lambda x: jnp.sin(x) * x.shape[0], None, 3)
    for batch in (1, 4):
        x = np.linspace(0.0, 1.0, 3 * batch, dtype=np.float32).reshape(batch, 3)
        tensor = tensorflow.constant(x)
        with tensorflow.GradientTape() as tape:
            tape.watch(tensor)
            found = run(tensor)
        np.testing.assert_allclose(found, np.sin(x) * batch, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(tape.gradient(found, tensor), np.cos(x) * batch, rtol=1e-5)


def test_padding_by_an_unknown_size_is_converted():
    def strided(x):
        window = {"window_dimensions": (1, 3), "window_strides": (1, 2), "padding": "SAME"}
        return jax.lax.reduce_window(x, 0.0, jax.lax.add, **window)

    run = _converted(strided, 2, None)
    x = np.arange(10, dtype=np.float32).reshape(2, 5)
    np.testing.assert_allclose(run(tensorflow.constant(x)), strided(x), rtol=1e-6)


@pytest.mark.law("K4")
@pytest.mark.parametrize(
    ("function", "name"),
    [(_factor, "lapack_spotrf"), (lambda x: jnp.linalg.eigvals(x).real, "lapack_sgeev")],
    ids=["cholesky", "eigenvalues"],
)
def test_what_needs_a_library_of_jax_is_refused_by_its_name(function, name):
    with pytest.raises(LowerModuleError, match=rf"{name}(.|\n)*flaxlayer\.export"):
        _converted(function, 2, 3, 3).get_concrete_function()


@pytest.mark.law("K4")
def test_a_gradient_that_needs_one_is_refused_by_its_name():
    @jax.custom_vjp
    def function(x):
        return x

    function.defvjp(lambda x: (x, x), lambda x, slope: (slope * _factor(x),))
    run = _converted(function, 2, 3, 3)
    tensor = tensorflow.ones((2, 3, 3))
    with pytest.raises(LowerModuleError, match="lapack_spotrf"), tensorflow.GradientTape() as tape:
        tape.watch(tensor)
        tape.gradient(run(tensor), tensor)


def test_keras_own_export_refuses_what_only_ours_can_lower(tmp_path):
    model = keras.Sequential([keras.Input((3, 3)), FlaxLayer(Applies(_factor))])
    with pytest.raises(LowerModuleError, match=r"lapack_spotrf(.|\n)*flaxlayer\.export"):
        model.export(tmp_path / "model", verbose=False)
    export(model, tmp_path / "model", verbose=False)
    artifact = tensorflow.saved_model.load(tmp_path / "model")
    x = np.random.default_rng(0).normal(size=(2, 3, 3)).astype(np.float32)
    expected = Applies(_factor).apply(model.layers[0].flax_variables(), x)
    np.testing.assert_allclose(artifact.serve(x), expected, rtol=1e-4, atol=1e-5)
