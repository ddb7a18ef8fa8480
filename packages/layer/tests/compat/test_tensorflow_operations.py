"""TensorFlow runs a module of StableHLO by an operation that it has no public function for (K2)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from flaxlayer.compat.stablehlo import export_function, portable_artifact

tf = pytest.importorskip("tensorflow")
pytestmark = [pytest.mark.slow, pytest.mark.law("K2")]


def _run(function, inputs, tensors, **options):
    from flaxlayer.compat.tensorflow_operations import call_module

    exported = export_function(jax.jit(function), inputs)
    return call_module(
        tensors,
        module=portable_artifact(exported.mlir_module_serialized, lambda targets: None),
        version=exported.calling_convention_version,
        dtypes=[tf.as_dtype(output.dtype) for output in exported.out_avals],
        shapes=[
            [dim if isinstance(dim, int) else None for dim in output.shape]
            for output in exported.out_avals
        ],
        **options,
    )


def _struct(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def test_a_module_of_an_unknown_size_runs():
    (size,) = export.symbolic_shape("size")
    (total,) = _run(lambda x: [x.sum() + x.shape[0]], [_struct(size)], [tf.ones(5)])
    assert float(total) == 10.0


def test_several_results_have_the_dtypes_and_shapes_that_are_told():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = _run(lambda x: [x.T, jnp.argmax(x, 1), x > 2], [_struct(2, 3)], [tf.constant(x)])
    for tensor, expected in zip(found, [x.T, x.argmax(1).astype(np.int32), x > 2], strict=True):
        assert tensor.shape == expected.shape
        np.testing.assert_array_equal(tensor, expected)


def test_an_unknown_size_stays_unknown_in_a_graph():
    (size,) = export.symbolic_shape("size")

    @tf.function(input_signature=[tf.TensorSpec((None, 3))])
    def run(x):
        (doubled,) = _run(lambda x: [2 * x], [_struct(size, 3)], [x])
        assert doubled.shape.as_list() == [None, 3]
        return doubled

    np.testing.assert_array_equal(run(tf.ones((4, 3))), np.full((4, 3), 2.0))


def test_a_module_for_other_platforms_says_so_in_the_graph_and_does_not_run_here():
    with pytest.raises(tf.errors.OpError, match=r"(?i)platform"):
        _run(lambda x: [x + 1], [_struct(2)], [tf.ones(2)], platforms=("tpu",))


def test_tensorflow_has_no_public_function_for_it():
    assert not [name for name in dir(tf) if "call_module" in name.lower()]
    assert not [name for name in dir(tf.xla) if "call_module" in name.lower()]
