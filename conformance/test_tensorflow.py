"""The checks in `conformance/backends`, in a process whose Keras runs on TensorFlow.

`KERAS_BACKEND=tensorflow pytest conformance/backends conformance/tensorflow` runs them directly;
with `-m long` the whole zoo and hundreds of generated modules.
"""

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("tensorflow")

ROOT = Path(__file__).parent.parent
BACKENDS = ROOT / "packages" / "testing" / "src" / "flaxlayer_testing" / "backends"
FOLDERS = [ROOT / "conformance" / "backends", ROOT / "conformance" / "tensorflow", BACKENDS]


def test_the_checks_pass_on_tensorflow(passes_in_a_process):
    passes_in_a_process(FOLDERS, KERAS_BACKEND="tensorflow")
