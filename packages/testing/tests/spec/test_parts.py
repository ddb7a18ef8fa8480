"""An operation is one file of `spec/operations`, which nothing else names."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from flax import nnx

import flaxlayer_testing
from flaxlayer_testing import FEATURES
from flaxlayer_testing.spec import operations
from flaxlayer_testing.spec.operations import OPERATIONS, PARTS

FILE = '''
"""The cube of a value, and its half, which linen does not have."""

import jax

from flaxlayer_testing.spec.operations.forms import Form
from flaxlayer_testing.spec.operations.operation import Operation, Part, is_float, shows


def cubed(x: jax.Array) -> jax.Array:
    """Multiplies a value with itself, twice."""
    return x * x * x


def operation(name, forms):
    return Operation(
        name=name,
        choices=lambda types: {} if is_float(types[0]) and types[0].shape else None,
        results=lambda types, _: (types[0],),
        traits=shows(name),
        forms=forms,
    )


CUBE = Form(lambda site: f"cubed({site.args[0]})", pieces=(cubed,))
HALF = Form(lambda site: f"{site.args[0]} / 2")

PART = Part(
    features={"arrays": {"cube": "a cube", "half": "a half"}},
    operations=(
        operation("cube", {"linen": CUBE, "nnx": CUBE}),
        operation("half", {"nnx": HALF}),
    ),
)
'''

PROGRAM = """
import jax, numpy as np
from hypothesis import find
from flaxlayer_testing import FEATURES, LINEN_FEATURES, NNX_FEATURES, ReadSpecError, Subject
from flaxlayer_testing import cases, nnx_cases, run_report, to_program

assert FEATURES["cube"] == "a cube"
assert {"cube", "half"} <= set(NNX_FEATURES) and set(LINEN_FEATURES) & {"cube", "half"} == {"cube"}
try:
    cases(features=["half"])
except ReadSpecError as error:
    assert "nnx" in str(error)
else:
    raise AssertionError("linen has no half")
for draw, name in ((cases, "cube"), (nnx_cases, "cube"), (nnx_cases, "half")):
    case = find(draw(features=[name], max_nodes=1), lambda case: True)
    assert [node.op for node in case.spec.nodes] == [name], case
    names = {}
    exec(compile(to_program(case), "<program>", "exec"), names)
    trained = names["trained"][0] if draw is cases else names["trained"]
    x = np.asarray(names["inputs"][0], np.float64)
    expected = x**3 if name == "cube" else x / 2
    np.testing.assert_allclose(np.asarray(trained, np.float64), expected, 1e-5)
    report = run_report(Subject.from_case(case), only=["check_inference"])
    assert not report.failures, report
print("drawn, printed, run")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")
def test_a_file_is_all_that_an_operation_needs(tmp_path):
    home = Path(flaxlayer_testing.__file__).parent
    copy = tmp_path / home.name
    shutil.copytree(home, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "spec" / "operations" / "cubes.py").write_text(FILE)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "drawn, printed, run", done.stderr


def test_every_file_with_operations_is_found():
    (room,) = map(Path, operations.__path__)
    files = {path.stem for path in room.glob("*.py") if "\nPART = " in path.read_text()}
    modules = {name: sys.modules[f"{operations.__name__}.{name}"] for name in files}
    assert {id(module.PART) for module in modules.values()} == set(map(id, PARTS))
    assert [part.place for part in PARTS] == sorted(part.place for part in PARTS)


def test_the_simplest_operation_comes_first():
    assert next(iter(OPERATIONS)) == "dense"


def test_an_operation_and_a_feature_stand_in_one_file_alone():
    named = [operation.name for part in PARTS for operation in part.operations]
    shown = [name for part in PARTS for topic in part.features.values() for name in topic]
    assert len(set(named)) == len(named)
    assert len(set(shown)) == len(shown)
    assert set(shown) <= set(FEATURES)
