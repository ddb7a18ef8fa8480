"""Each private API that the TensorFlow backend uses still does what it is used for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
from jax import export
from jax.experimental import jax2tf

from flaxlayer.compat import private_jax2tf as compat


def lowered(function, *inputs):
    return compat.export_function(jax.jit(function), inputs)


def call(exported, *tensors):
    module = compat.portable_artifact(exported.mlir_module_serialized, lambda targets: None)
    return compat.call_module(
        tensors,
        module=module,
        version=exported.calling_convention_version,
        dtypes=[tf.as_dtype(output.dtype) for output in exported.out_avals],
        shapes=[(None,) * output.ndim for output in exported.out_avals],
    )


def test_a_module_of_an_unknown_size_runs():
    (size,) = export.symbolic_shape("size")
    exported = lowered(lambda x: [x.sum() + x.shape[0]], jax.ShapeDtypeStruct((size,), "float32"))
    (total,) = call(exported, tf.ones(5))
    assert float(total) == 10.0


def test_a_composite_of_an_unknown_size_becomes_a_call_that_tensorflow_refines():
    (size,) = export.symbolic_shape("size")
    exported = lowered(lambda x: [jax.lax.erf(x)], jax.ShapeDtypeStruct((size,), "float32"))
    assert "stablehlo.composite" in exported.mlir_module()
    (found,) = call(exported, tf.constant([0.5, 1.0]))
    np.testing.assert_allclose(found, [0.5204999, 0.8427008], rtol=1e-6)


def test_modules_are_written_in_the_version_that_tensorflow_reads():
    exported = lowered(lambda x: [x + 1], jax.ShapeDtypeStruct((2,), "float32"))
    module = compat.portable_artifact(exported.mlir_module_serialized, lambda targets: None)
    assert f"StableHLO_v{compat.STABLEHLO_VERSION}".encode() in module


def test_custom_calls_are_named():
    exported = lowered(lambda x: [jnp.linalg.eig(x)[0]], jax.ShapeDtypeStruct((2, 2), "float32"))
    seen = []
    with pytest.raises(ValueError):
        compat.portable_artifact(exported.mlir_module_serialized, seen.append)
    assert seen == [frozenset({"lapack_sgeev_ffi"})]


def test_linear_algebra_is_lowered_without_lapack():
    exported = lowered(lambda x: [jnp.linalg.cholesky(x)], jax.ShapeDtypeStruct((2, 2), "float32"))
    seen = []
    compat.portable_artifact(exported.mlir_module_serialized, seen.append)
    assert seen == [frozenset()]


def test_padding_may_be_symbolic_only_in_its_context():
    (size,) = export.symbolic_shape("size")
    inputs = [
        jax.ShapeDtypeStruct((1, size, 1), "float32"),
        jax.ShapeDtypeStruct((3, 1, 1), "float32"),
    ]

    def gradient(x, kernel):
        def total(x):
            dimensions = ("NWC", "WIO", "NWC")
            return jax.lax.conv_general_dilated(
                x, kernel, (2,), "SAME", dimension_numbers=dimensions
            ).sum()

        return jax.grad(total)(x)

    with compat.symbolic_padding():
        assert jax.eval_shape(lambda *x: gradient(*x), *inputs).shape == inputs[0].shape
    with pytest.raises(ValueError, match="padding argument"):
        jax.eval_shape(lambda *x: gradient(*x), *inputs)


def test_the_context_of_a_trace_has_the_precision():
    before = compat.trace_context()
    with jax.default_matmul_precision("highest"):
        assert compat.trace_context() != before
    assert compat.trace_context() == before


def test_only_conversions_by_jax2tf_are_written_for_tensorflow():
    (size,) = export.symbolic_shape("size")
    abstract = jax.ShapeDtypeStruct((size,), "float32")
    version = f"StableHLO_v{compat.STABLEHLO_VERSION}".encode()
    seen = []
    compat.portable_conversions(seen.append)
    export.export(jax.jit(jax.lax.erf))(abstract)
    assert not seen
    converted = jax2tf.convert(jax.lax.erf, polymorphic_shapes=["size"])
    sizes = [tf.TensorSpec([None])]
    graph = tf.function(converted, sizes, autograph=False).get_concrete_function()
    np.testing.assert_allclose(graph(tf.constant([0.5, 1.0])), [0.5204999, 0.8427008], rtol=1e-6)
    calls = [op for op in graph.graph.get_operations() if op.type == "XlaCallModule"]
    assert calls
    assert all(version in call.get_attr("module") for call in calls)
    assert frozenset({"shape_assertion"}) in seen
