"""The program of docs/modules.md runs, and that of docs/checking.md is what is printed."""

import pathlib
import re
import sys
import types

import pytest
from flax import nnx

from flaxlayer_testing import Case, ModuleSpec, Node, Scenario, Step, ValueType, scenario_program

DOCS = pathlib.Path(__file__).parents[1] / "docs"
PAGE = DOCS / "modules.md"


@pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")
def test_the_program_of_the_page_of_modules_runs(monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    module = types.ModuleType("page_of_modules")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("KERAS_BACKEND", "jax")  # which the page sets: it ends with the test
    exec(compile("\n".join(blocks), str(PAGE), "exec"), vars(module))
    assert len(blocks) == 4


@pytest.mark.law("T1", "T9")
def test_the_program_of_the_page_of_checking_is_what_is_printed():
    (shown,) = re.findall(
        r"^```text\n(# The scenario\..*?)^```$",
        (DOCS / "checking.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    options = (("features", 2), ("param_dtype", "float32"), ("use_bias", True))
    dense = ModuleSpec((ValueType((3,)),), (Node("dense", (0,), options),), (1,))
    freeze = Step("freeze", (("selector", ("leaf", 0)),))
    assert scenario_program(Scenario(Case(dense), steps=(freeze,))).endswith(shown)
