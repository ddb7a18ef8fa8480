"""The tests that run on the TensorFlow backend, in two processes whose Keras runs on it.

`KERAS_BACKEND=tensorflow pytest packages/layer/tests/backends` runs most of them directly.
"""

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("tensorflow")

TESTS = Path(__file__).parents[1]
OWN = TESTS / "backends" / "tensorflow"
PARTS = {
    "calls": [
        *sorted(path for path in OWN.glob("test_*.py") if not path.name.startswith("test_backend")),
        TESTS.parent / "src" / "flaxlayer" / "backends",
    ],
    "models": [
        *sorted(OWN.glob("test_backend*.py")),
        TESTS / "exports" / "onnx" / "test_from_tensorflow.py",
        # What says nothing of a backend holds on this one too.
        TESTS / "calls" / "test_runner_late_state.py",
        TESTS / "exports" / "test_endpoints.py",
    ],
}


@pytest.mark.parametrize("part", PARTS)
def test_the_tests_of_tensorflow_pass(part, passes_in_a_process):
    passes_in_a_process(PARTS[part], KERAS_BACKEND="tensorflow")
