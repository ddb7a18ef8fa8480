"""Modules of StableHLO are written as TensorFlow reads them, and run there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from flaxlayer.compat import stablehlo as compat

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.slow


def lowered(function, *inputs):
    return compat.export_function(jax.jit(function), inputs)


def call(exported, *tensors):
    module = compat.portable_artifact(exported.mlir_module_serialized, lambda targets: None)
    from flaxlayer.compat.tensorflow_operations import call_module

    return call_module(
        tensors,
        module=module,
        version=exported.calling_convention_version,
        dtypes=[tf.as_dtype(output.dtype) for output in exported.out_avals],
        shapes=[(None,) * output.ndim for output in exported.out_avals],
    )


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


def test_custom_calls_that_jax_does_not_export_have_an_error_of_their_own(monkeypatch):
    def refuse(*args, **kwargs):
        return lambda *inputs: (_ for _ in ()).throw(ValueError(refused))

    monkeypatch.setattr(export, "export", refuse)
    refused = "Cannot serialize code with custom calls whose targets have no ... guarantees\nmore"
    with pytest.raises(compat.CustomCallError, match=r"^Cannot serialize[^\n]*$"):
        compat.export_function(None, [])
    refused = "another error"
    with pytest.raises(ValueError, match=refused) as raised:
        compat.export_function(None, [])
    assert not isinstance(raised.value, compat.CustomCallError)
