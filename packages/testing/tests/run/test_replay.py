import os
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_testing import Case, ModuleSpec, Node, Subject, ValueType, checks, failing_program
from flaxlayer_testing.errors import ReadSpecError
from flaxlayer_testing.run.naming import layer_name, replay_command
from flaxlayer_testing.run.replay import main
from flaxlayer_testing.subject.import_paths import import_path

NOISE = Node("activation", (0,), (("function", "relu"),))
(INFERENCE,) = checks(only=["check_inference"])
CASE = Case(ModuleSpec((ValueType((3,)),), (NOISE,), (1,)), 2, 5)


@pytest.mark.law("T8")
def test_the_command_runs_the_check_on_an_equal_case(capsys):
    command = shlex.split(replay_command(Subject.from_case(CASE), INFERENCE))
    backend = f"KERAS_BACKEND={keras.backend.backend()}"
    assert command[:4] == [backend, "python", "-m", "flaxlayer_testing.run.replay"]
    assert Case.from_json(command[-1]) == CASE
    main(command[4:])
    assert capsys.readouterr().out.startswith("check_inference passed; largest errors: {'float32'")


class Local(FlaxLayer):
    """A layer that only this test module has."""


@pytest.mark.law("T8")
@pytest.mark.parametrize("name", ["a word", "it's"])
def test_in_a_test_the_command_runs_that_test(name, request):
    layer = Subject.from_case(CASE, layer=Local)
    module = Subject(layer.module, layer.inputs)
    for subject in (layer, module):
        command = shlex.split(replay_command(subject, INFERENCE))
        assert command[1:4] == ["python", "-m", "pytest"]
        file, _, rest = command[4].partition("::")
        assert Path(file).resolve() == Path(__file__).resolve()
        assert rest == request.node.nodeid.partition("::")[2]


SCRIPT = """
import flax.linen as nn, numpy as np
from flaxlayer_testing import check_module
from flaxlayer_testing.run.samples import NegatesOutputs
X = np.ones((2, 3), np.float32)
print(check_module(nn.Dense(2), X, layer=NegatesOutputs, only=["check_inference"]))
"""


@pytest.mark.slow
@pytest.mark.law("T8")
@pytest.mark.parametrize("x64", ["0", "1"])
def test_in_a_program_the_last_line_runs_the_program_in_a_fresh_shell(x64, tmp_path):
    (tmp_path / "my check.py").write_text(SCRIPT)
    wanted = {"PATH", "PYTHONPATH", "HOME", "JAX_PLATFORMS"}
    clean = {name: value for name, value in os.environ.items() if name in wanted}
    clean["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
    backend = {"KERAS_BACKEND": keras.backend.backend(), "JAX_ENABLE_X64": x64}

    def run(command, environment):
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1].removeprefix("Replay: ")

    first = run("python 'my check.py'", clean | backend)
    assert first.endswith("python 'my check.py'")
    assert ("JAX_ENABLE_X64" in first) == (x64 == "1")
    assert run(first, clean) == first


@pytest.mark.law("T1")
def test_a_case_that_is_no_case_is_explained():
    with pytest.raises(ReadSpecError):
        main(["--check", "check_inference", "{}"])


def test_a_layer_is_named_by_the_package_that_offers_it():
    assert import_path(FlaxLayer) == ("flaxlayer", "FlaxLayer")
    assert layer_name(FlaxLayer) == "flaxlayer:FlaxLayer"
    assert import_path(lambda module, **settings: FlaxLayer(module, **settings)) is None


@pytest.mark.law("T1")
def test_a_program_names_the_layer_under_test_and_runs(capsys):
    text = failing_program(Subject.from_case(CASE), "check_inference")
    assert "from flaxlayer import FlaxLayer as Layer" in text
    exec(compile(text, "<program>", "exec"), {"__name__": "program"})


def test_there_is_no_program_for_a_module_that_was_not_generated():
    subject = Subject.from_case(CASE)
    other = Subject(subject.module, subject.inputs)
    assert failing_program(other, "check_inference") == ""
    assert failing_program(subject, "check_fit") == ""
