"""The checks in `conformance/backends`, in a process whose Keras runs on torch.

`KERAS_BACKEND=torch pytest conformance/backends` runs them directly, where torch is installed; with
`-m long` the whole zoo and hundreds of generated modules (`./dev laws-torch`).
"""

from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    find_spec("torch") is None,
    reason="torch is not installed: pip finds no build for the CPU alone; see ./dev laws-torch",
)

ROOT = Path(__file__).parent.parent
CHECKS = ROOT / "conformance" / "backends"
LAYER = ROOT / "packages" / "layer" / "tests" / "backends" / "torch"


@pytest.mark.slow
def test_a_few_modules_run_and_learn_on_torch(passes_in_a_process):
    learns = f"{CHECKS}/test_checks.py::test_modules_learn_as_raw_flax_does[linen]"
    passes_in_a_process([Path(learns), LAYER / "test_torch_call.py"], KERAS_BACKEND="torch")


@pytest.mark.slow
def test_the_checks_pass_on_torch(passes_in_a_process):
    passes_in_a_process([CHECKS], KERAS_BACKEND="torch")
