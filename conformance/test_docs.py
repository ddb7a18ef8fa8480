"""The program of docs/modules.md runs."""

import pathlib
import re
import sys
import types

import pytest
from flax import nnx

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "modules.md"


@pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")
def test_the_program_of_the_page_of_modules_runs(monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    module = types.ModuleType("page_of_modules")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("KERAS_BACKEND", "jax")  # which the page sets: it ends with the test
    exec(compile("\n".join(blocks), str(PAGE), "exec"), vars(module))
    assert len(blocks) == 5
