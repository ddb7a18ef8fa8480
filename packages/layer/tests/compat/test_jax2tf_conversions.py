"""Conversions by `jax2tf` in which a layer is called are written for TensorFlow, and no others."""

import operator
import threading
from concurrent.futures import ThreadPoolExecutor

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from jax import export
from jax._src.export import _export
from jax._src.lax import convolution

from flaxlayer import FlaxLayer
from flaxlayer.compat.jax2tf_conversions import in_jax2tf
from flaxlayer_core import LowerModuleError

tensorflow = pytest.importorskip("tensorflow")
jax2tf = pytest.importorskip("jax.experimental.jax2tf")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.jax_only("Keras converts by jax2tf"),
    pytest.mark.law("S4"),
]

WRITER = _export._module_to_bytecode
VERSION = b"StableHLO_v1.13.7"
OF_JAX = export.export(jax.jit(jnp.sin))(jax.ShapeDtypeStruct((2,), "float32"))
told_apart = pytest.mark.skipif(
    VERSION in OF_JAX.mlir_module_serialized, reason="this JAX itself writes what TensorFlow reads"
)


@pytest.fixture(autouse=True)
def nothing_is_left_of_it():
    yield
    assert _export._module_to_bytecode is WRITER
    assert convolution.operator is operator


class Strided(nn.Module):
    @nn.compact
    def __call__(self, x):
        return jax.lax.erf(nn.Conv(2, (3,), strides=2)(x))


class Eigenvalues(nn.Module):
    @nn.compact
    def __call__(self, x):
        return jnp.linalg.eigvals(x * self.param("scale", nn.initializers.ones, ())).real


def model_of(module, shape):
    return keras.Sequential([keras.Input(shape), FlaxLayer(module)])


def modules_in(graph):
    """The modules of StableHLO in a graph."""
    calls = [op for op in graph.get_operations() if op.type == "XlaCallModule"]
    return [call.get_attr("module") for call in calls]


def converted(function, shape):
    shapes = ["batch, ..."] if shape[0] is None else None
    convert = jax2tf.convert(function, polymorphic_shapes=shapes)
    return tensorflow.function(convert, [tensorflow.TensorSpec(shape)], autograph=False)


def test_a_conversion_is_seen_while_it_traces():
    seen = []
    jax2tf.convert(lambda x: seen.append(in_jax2tf()) or x)(np.float32(1.0))
    assert seen == [True]
    assert not in_jax2tf()


def test_an_artifact_of_keras_is_served_with_its_gradient(tmp_path):
    model = model_of(Strided(), (8, 1))
    model.export(str(tmp_path), verbose=False)
    assert _export._module_to_bytecode is WRITER
    artifact = tensorflow.saved_model.load(str(tmp_path))
    x = np.random.default_rng(0).normal(size=(3, 8, 1)).astype("float32")
    tensor = tensorflow.constant(x)
    with tensorflow.GradientTape() as tape:
        tape.watch(tensor)
        outputs = artifact.serve(tensor)
        total = tensorflow.reduce_sum(outputs)
    np.testing.assert_allclose(outputs, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    expected = jax.grad(lambda x: model(x).sum())(jnp.asarray(x))
    np.testing.assert_allclose(tape.gradient(total, tensor), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("wrap", [lambda model: model, jax.jit], ids=["plain", "jit"])
def test_each_conversion_of_a_layer_is_written_for_tensorflow(batch, wrap):
    function, graphs = wrap(model_of(Strided(), (8, 1)).__call__), []
    for _ in range(3):
        graphs.append(converted(function, (batch, 8, 1)).get_concrete_function().graph)
        (module,) = modules_in(graphs[-1])
        assert VERSION in module
        assert _export._module_to_bytecode is WRITER


@told_apart
def test_conversions_without_a_layer_are_those_of_jax():
    model = model_of(Strided(), (8, 1))
    converted(model, (None, 8, 1)).get_concrete_function()
    (module,) = modules_in(converted(jnp.sin, (None,)).get_concrete_function().graph)
    assert VERSION not in module


@told_apart
def test_an_export_of_jax_beside_it_is_as_it_was():
    seen = []

    class Exporting(nn.Module):
        @nn.compact
        def __call__(self, x):
            abstract = jax.ShapeDtypeStruct((2,), "float32")
            with jax.ensure_compile_time_eval():
                seen.append(export.export(jax.jit(jnp.sin))(abstract).mlir_module_serialized)
            return nn.Dense(1)(x)

    model = model_of(Exporting(), (8,))
    seen.clear()
    converted(model, (None, 8)).get_concrete_function()
    assert seen
    assert not any(VERSION in module for module in seen)


def test_a_refusal_leaves_nothing_behind():
    model = model_of(Eigenvalues(), (3, 3))
    with pytest.raises(LowerModuleError, match="lapack") as raised:
        converted(model, (None, 3, 3)).get_concrete_function()
    assert raised.tb  # it holds the frames of the conversion
    assert _export._module_to_bytecode is WRITER
    assert convolution.operator is operator


def test_an_error_of_another_layer_leaves_nothing_behind():
    class Failing(keras.layers.Layer):
        fails = False

        def call(self, x):
            if self.fails:
                raise KeyError("on purpose")
            return x

        def compute_output_shape(self, shape):
            return shape

    failing = Failing()
    model = keras.Sequential([keras.Input((8, 1)), FlaxLayer(Strided()), failing])
    failing.fails = True
    with pytest.raises(KeyError) as raised:
        converted(model, (None, 8, 1)).get_concrete_function()
    assert raised.tb
    assert _export._module_to_bytecode is WRITER
    assert convolution.operator is operator


def test_two_threads_convert_at_once():
    models = [model_of(Strided(), (8, 1)) for _ in range(2)]
    both = threading.Barrier(2, timeout=60)

    def convert(model):
        def function(x):
            outputs = model(x)
            both.wait()
            return outputs

        return modules_in(converted(function, (None, 8, 1)).get_concrete_function().graph)

    with ThreadPoolExecutor(2) as pool:
        for modules in pool.map(convert, models):
            assert [VERSION in module for module in modules] == [True]
