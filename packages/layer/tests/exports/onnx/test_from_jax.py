"""Models that JAX traces, as ONNX: names, versions, and state that is left alone (S4)."""

import flax.linen as nn
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer.exports.onnx.from_jax import write_onnx
from flaxlayer_core import ExportModelError

pytestmark = [pytest.mark.law("S4"), pytest.mark.jax_only("TensorFlow traces there")]

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
jax2onnx = pytest.importorskip("jax2onnx")

X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)


class Counts(nn.Module):
    @nn.compact
    def __call__(self, x):
        count = self.variable("cache", "n", lambda: jnp.zeros((), jnp.float32))
        if not self.is_initializing():
            count.value += 1
        return nn.Dense(2)(x) + count.value


def _model(module):
    return keras.Sequential([keras.Input((3,)), FlaxLayer(module)])


def _signature(*shape, name=None):
    return [keras.InputSpec(shape=shape, dtype="float32", name=name)]


def test_inputs_have_the_names_of_the_signature_and_unknown_sizes(tmp_path):
    model, path = _model(nn.Dense(2)), tmp_path / "model.onnx"
    write_onnx(model, str(path), _signature(None, 3, name="pixels"), None)
    session = onnxruntime.InferenceSession(str(path))
    (given,) = session.get_inputs()
    assert given.name == "pixels"
    assert isinstance(given.shape[0], str)
    for x in (X, X[:1]):
        (found,) = session.run(None, {"pixels": x})
        expected = nn.Dense(2).apply(model.layers[0].flax_variables(), x)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_changes_of_state_are_left_out_and_the_model_keeps_its_own(tmp_path):
    model, path = _model(Counts()), tmp_path / "model.onnx"
    variables = model.layers[0].flax_variables()
    write_onnx(model, str(path), _signature(2, 3), None)
    assert float(model.layers[0].flax_variables()["cache"]["n"]) == float(variables["cache"]["n"])
    session = onnxruntime.InferenceSession(str(path))
    name = session.get_inputs()[0].name
    expected, _ = Counts().apply(variables, X, mutable=["cache"])
    for _ in range(2):
        np.testing.assert_allclose(session.run(None, {name: X})[0], expected, rtol=1e-5)


def test_the_version_of_the_operations_is_what_was_asked_for(tmp_path):
    model, path = _model(nn.Dense(2)), tmp_path / "model.onnx"
    write_onnx(model, str(path), _signature(None, 3), 21)
    found = {each.domain: each.version for each in onnx.load(path).opset_import}
    assert found[""] == 21


def test_an_operation_that_jax2onnx_lacks_is_named_and_nothing_is_written(tmp_path):
    class Factor(nn.Module):
        def __call__(self, x):
            return jnp.linalg.eigvalsh(x)

    model = keras.Sequential([keras.Input((3, 3)), FlaxLayer(Factor())])
    with pytest.raises(ExportModelError, match=r"cannot be exported as ONNX"):
        write_onnx(model, str(tmp_path / "model.onnx"), _signature(2, 3, 3), None)
    assert not list(tmp_path.iterdir())
