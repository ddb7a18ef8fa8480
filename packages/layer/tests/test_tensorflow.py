"""The tests in `tests/tensorflow`, in two processes whose Keras runs on TensorFlow.

`KERAS_BACKEND=tensorflow pytest packages/layer/tests/tensorflow` runs them directly.
"""

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("tensorflow")

HERE = Path(__file__).parent
OWN = HERE / "tensorflow"
PARTS = {
    "calls": [
        OWN / "test_calls.py",
        OWN / "test_lowering.py",
        OWN / "test_residuals.py",
        HERE.parent / "src" / "flaxlayer" / "backends",
    ],
    "models": [
        OWN / "test_onnx.py",
        OWN / "test_saving.py",
        OWN / "test_training.py",
        # What says nothing of a backend holds on this one too.
        HERE / "calls" / "test_runner_late_state.py",
        HERE / "test_serving.py",
    ],
}


@pytest.mark.parametrize("part", PARTS)
def test_the_tests_of_tensorflow_pass(part, passes_in_a_process):
    passes_in_a_process(PARTS[part], KERAS_BACKEND="tensorflow")


def test_each_file_of_tests_belongs_to_a_part():
    listed = {path for paths in PARTS.values() for path in paths}
    assert set(OWN.glob("test_*.py")) <= listed
