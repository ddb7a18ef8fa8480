"""What importing the package does in a fresh process: no other framework; a lack is explained."""

import json
import os
import subprocess
import sys

import pytest

LACKS = """
import sys

for name in ("tensorflow", "torch"):
    sys.modules[name] = None  # as if it were not installed
try:
    import flaxlayer
except ImportError as error:
    print(type(error).__name__, error, "keras" in sys.modules, sep="\\n")
"""
RUNS_ON_JAX = """
import sys
import flaxlayer
import flax.linen as nn
import numpy as np

flaxlayer.FlaxLayer(nn.Dense(2))(np.ones((1, 3), np.float32))
print({"tensorflow", "torch"} & set(sys.modules))
"""

# Compiled to bytecode, 0.1 s of CPU for 213 files, as those of two cores in November 2026.
COUNTS = """
import json
import sys
import keras, jax, flax, flax.linen, flax.nnx

known = set(sys.modules)
import {}
new = set(sys.modules) - known
own = {{name for name in new if name.partition(".")[0] in ("flaxlayer", "flaxlayer_core")}}
print(json.dumps([len(own), sorted(new - own)]))
"""


def run(code, folder, **variables):
    """Runs a program whose Keras has its settings in the folder."""
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    environment |= {"KERAS_HOME": str(folder), **variables}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("backend", "file"), [("tensorflow", None), ("torch", {"backend": "torch"})]
)
def test_a_backend_that_is_not_installed_is_explained_before_keras_is_imported(
    backend, file, tmp_path
):
    path = tmp_path / "keras.json"
    if file is not None:
        path.write_text(json.dumps(file))
    name, failed, *rest, imported = run(LACKS, tmp_path).splitlines()
    assert name == "ImportBackendError"
    assert failed == f"Keras cannot be imported: its backend '{backend}' is not installed."
    assert str(path) in "\n".join(rest)
    assert 'os.environ["KERAS_BACKEND"] = "jax"' in rest[-1]
    assert imported == "False"


def test_a_layer_on_jax_imports_no_other_framework(tmp_path):
    assert run(RUNS_ON_JAX, tmp_path, KERAS_BACKEND="jax").strip() == "set()"


def brought(package, folder):
    """What a package brings after Keras, JAX and Flax: how many files of ours, and which others."""
    own, others = json.loads(run(COUNTS.format(package), folder, KERAS_BACKEND="jax"))
    foreign = [name for name in others if name.partition(".")[0] not in sys.stdlib_module_names]
    return own, foreign


def test_an_import_brings_little_that_keras_jax_and_flax_do_not(tmp_path):
    own, foreign = brought("flaxlayer", tmp_path)
    # An import takes 0.3 s at most, half a millisecond a file; JAX and Keras have files that they
    # do not import by themselves.
    assert 150 < own < 300
    assert {name.partition(".")[0] for name in foreign} <= {"jax", "keras"}
    assert len(foreign) < 20


@pytest.mark.slow
def test_an_import_of_another_package_is_counted(tmp_path):
    _, foreign = brought("flaxlayer, hypothesis", tmp_path)
    assert "hypothesis" in foreign
    assert len(foreign) > 20
