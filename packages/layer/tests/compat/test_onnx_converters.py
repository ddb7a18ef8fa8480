"""What the converters to ONNX do beside converting is undone, and still has to be."""

import logging
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer.compat.onnx_converters import keeping_numpy_of_jax, without_warnings_of


def test_what_is_replaced_in_the_numpy_of_jax_is_put_back_after_an_error_too():
    before = jnp.cumsum
    with pytest.raises(KeyError), keeping_numpy_of_jax():
        jnp.cumsum = None
        raise KeyError
    assert jnp.cumsum is before


LEFT = """
import jax.numpy as jnp, jax2onnx
from flaxlayer.compat.onnx_converters import keeping_numpy_of_jax
before = dict(vars(jnp))
with keeping_numpy_of_jax():
    jax2onnx.to_onnx(lambda x: jnp.cumsum(x), [(3,)], return_mode="ir")
    left = [name for name, value in before.items() if getattr(jnp, name) is not value]
print(left, all(getattr(jnp, name) is value for name, value in before.items()))
"""


@pytest.mark.slow
def test_jax2onnx_leaves_a_function_of_its_own_at_its_first_conversion():
    pytest.importorskip("jax2onnx")
    done = subprocess.run([sys.executable, "-c", LEFT], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["['cumsum'] True"], done.stderr[-2000:]


def test_only_warnings_of_the_operation_are_stopped(caplog):
    logger = logging.getLogger("tf2onnx.shape_inference")
    with without_warnings_of("PyFunc"):
        logger.warning("Cannot infer shape for a: PyFunc")
        logger.warning("Cannot infer shape for b: Other")
    logger.warning("Cannot infer shape for c: PyFunc")
    assert [record.getMessage()[23] for record in caplog.records] == ["b", "c"]


@pytest.mark.slow
@pytest.mark.parametrize("quiet", [True, False])
def test_tf2onnx_warns_of_operations_that_it_does_not_know(quiet, caplog):
    tensorflow = pytest.importorskip("tensorflow")
    convert = pytest.importorskip("tf2onnx.convert")

    def run(x):
        (result,) = tensorflow.raw_ops.PyFunc(input=[x], token="t", Tout=[tensorflow.float32])
        return tensorflow.ensure_shape(result, (2,))

    signature = [tensorflow.TensorSpec((2,), np.float32, name="x")]
    function = tensorflow.function(run, input_signature=signature, autograph=False)
    with without_warnings_of("PyFunc" if quiet else "none of these"):
        convert.from_function(function, signature, custom_ops={"PyFunc": "flaxlayer"})
    warned = [record for record in caplog.records if "PyFunc" in record.getMessage()]
    assert bool(warned) is not quiet
