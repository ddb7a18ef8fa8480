"""What the layer's tests share: raw Flax beside the layer, compared to the bit."""

import functools
import subprocess
import sys

import flax.linen as nn
import jax
import jax.experimental
import keras
import numpy as np
import pytest

BACKEND = keras.backend.backend()
ON_JAX = BACKEND == "jax"

if BACKEND == "torch":
    from packages.layer.tests.torch_arrays import read_all_tensors

    read_all_tensors()

# Both sides compile with XLA, on TensorFlow of different ages: sums come in another order.
_CLOSE = {"float32": (1e-5, 1e-5), "complex64": (1e-5, 1e-5), "bfloat16": (2e-2, 2e-2)}

# Runs files with no JAX, Flax, Keras, TensorFlow or converter to import.
RUN_ONNX = """
import pathlib
import sys
import numpy as np

class Only:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        ours = ("flax", "flaxlayer", "flaxlayer_core", "jax", "jaxlib", "keras", "tensorflow")
        converters = ("jax2onnx", "onnx", "onnx_ir", "tf2onnx")
        if name.partition(".")[0] not in ours + converters:
            return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Only(finder) for finder in sys.meta_path]
import onnxruntime

for inputs in sorted(pathlib.Path(sys.argv[1]).glob("*/inputs.npz")):
    session = onnxruntime.InferenceSession(str(inputs.parent / "model.onnx"))
    given = np.load(inputs)
    assert {node.name for node in session.get_inputs()} == set(given.files)
    np.savez(inputs.with_name("outputs.npz"), *session.run(None, dict(given)))
assert not {"jax", "keras", "flax", "flaxlayer", "tensorflow"} & set(sys.modules)
"""


def pytest_collection_modifyitems(config, items):
    """Leaves out what is about other backends than this one."""
    left_out = [item for item in items if _is_about_others(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not _is_about_others(item)]


def _is_about_others(item):
    if item.get_closest_marker("jax_only") and not ON_JAX:
        return True
    return any(mark.args[0] == BACKEND for mark in item.iter_markers("not_on"))


@functools.cache
def _compiled(module, method, training_kwargs, mutable):
    def apply(variables, rngs, args, kwargs):
        return module.apply(
            variables,
            *args,
            rngs=rngs,
            method=method,
            mutable=nn.DenyList(mutable),
            **kwargs,
            **dict(training_kwargs),
        )

    return jax.jit(apply)


@pytest.fixture
def raw_apply():
    """Runs `module.apply` compiled, as the layer's next call would: `(outputs, updates)`."""

    def run(layer, *args, training=False, flags=(), method=None, mutable=("params",), **kwargs):
        function = _compiled(layer.module, method, tuple(flags), tuple(mutable))
        rngs = layer.peek_rngs(training=training)
        return function(layer.flax_variables(), rngs, args, kwargs)

    return run


@pytest.fixture
def same_bits():
    """Asserts that two trees agree in structure, shape, dtype and every bit."""

    def check(actual, expected):
        assert jax.tree.structure(actual) == jax.tree.structure(expected)
        for left, right in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            left, right = np.asarray(left), np.asarray(right)
            assert left.dtype == right.dtype
            assert left.shape == right.shape
            assert left.tobytes() == right.tobytes()

    return check


@pytest.fixture
def close():
    """Asserts that two trees agree in structure, shape and dtype, and closely in value."""

    def check(actual, expected, *, rtol=None, atol=None):
        assert jax.tree.structure(actual) == jax.tree.structure(expected)
        for left, right in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
            left, right = np.asarray(left), np.asarray(right)
            assert left.dtype == right.dtype
            assert left.shape == right.shape
            if left.dtype.name in _CLOSE:
                known = _CLOSE[left.dtype.name]
                wide = np.complex128 if left.dtype.kind == "c" else np.float64
                np.testing.assert_allclose(
                    left.astype(wide),
                    right.astype(wide),
                    rtol=rtol or known[0],
                    atol=atol or known[1],
                )
            else:
                np.testing.assert_array_equal(left, right)

    return check


@pytest.fixture
def same_results(same_bits, close):
    """Asserts that two trees come from one program: to the bit where one compiler made both."""
    return same_bits if ON_JAX else close


@pytest.fixture
def compiled():
    """Compiles a function of arrays as the backend does: `jax.jit`, `tf.function` or not."""
    if ON_JAX:
        return jax.jit
    if BACKEND == "torch":
        return lambda function: function
    return pytest.importorskip("tensorflow").function


@pytest.fixture
def watched():
    """A loss of zero, and the list to which it adds the outputs of each step of `fit`."""
    seen = []

    class Watch(keras.losses.Loss):
        def call(self, y_true, y_pred):
            if ON_JAX:
                jax.debug.callback(lambda y: seen.append(np.asarray(y)), y_pred)
            elif BACKEND == "torch":
                if not y_pred.is_meta:  # as where Keras asks for shapes
                    seen.append(np.array(y_pred))
            else:
                pytest.importorskip("tensorflow").numpy_function(seen.append, [y_pred], [])
            return keras.ops.sum(y_pred, axis=-1) * 0.0

    return Watch(), seen


@pytest.fixture
def enable_x64():
    """Makes a context of 64-bit types: `with enable_x64(True):`."""
    # JAX 0.8 made it public.
    return jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64


@pytest.fixture
def reference():
    """`keras.layers.FlaxLayer`, where its weights can be made."""
    if tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 14):
        pytest.importorskip("tensorflow", reason="since Keras 3.14 the reference needs TensorFlow")
    return keras.layers.FlaxLayer


@pytest.fixture(scope="session")
def serve_onnx_alone():
    """Runs each `*/model.onnx` of a folder on its `inputs.npz`, in a process with nothing else."""

    def run(root):
        command = [sys.executable, "-c", RUN_ONNX, str(root)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]

    return run


# Opens each case of a test in a process of its own that may take so much more memory and no more.
GUARD = """
import resource, sys

def guard(mebibytes, seconds=60):
    pages = int(open("/proc/self/statm").read().split()[0])
    bound = pages * resource.getpagesize() + (mebibytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    spent = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, spent + seconds))

def outcome(load, path):
    from flaxlayer_core import FlaxLayerError
    try:
        load(path)
    except FlaxLayerError as error:
        return str(error)
    except BaseException as error:
        return "escaped: " + repr(error)[:300]
    return "loaded"
"""


@pytest.fixture(scope="session")
def run_guarded():
    """Runs a script that calls `guard(mebibytes)` before what is to be bounded; its last line.

    `outcome(load, path)` is the text of an error of ours, or says what else came of it.
    """

    def run(script, *arguments):
        command = [sys.executable, "-c", GUARD + script, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.splitlines()[-1]

    return run


@pytest.fixture
def like_raw(same_bits, close):
    """Asserts what a compiled call owes to raw Flax: its bits, where one XLA compiles both (T4)."""
    return same_bits if ON_JAX else close
