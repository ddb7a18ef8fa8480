"""The checks in `conformance/tensorflow`, in a process whose Keras runs on TensorFlow.

`KERAS_BACKEND=tensorflow pytest conformance/tensorflow` runs them directly; with `-m long` the
whole zoo and hundreds of generated modules.
"""

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("tensorflow")

ROOT = Path(__file__).parent.parent
BACKENDS = ROOT / "packages" / "testing" / "src" / "flaxlayer_testing" / "backends"


def test_the_checks_pass_on_tensorflow(passes_in_a_process):
    passes_in_a_process([ROOT / "conformance" / "tensorflow", BACKENDS], KERAS_BACKEND="tensorflow")
