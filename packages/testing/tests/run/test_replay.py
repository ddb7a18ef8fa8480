import shlex

import pytest

from flaxlayer import FlaxLayer
from flaxlayer_testing import Case, ModuleSpec, Node, Subject, ValueType, failing_program
from flaxlayer_testing.errors import ReadSpecError
from flaxlayer_testing.run.naming import import_path, layer_name, replay_command
from flaxlayer_testing.run.replay import main

NOISE = Node("activation", (0,), (("function", "relu"),))
CASE = Case(ModuleSpec((ValueType((3,)),), (NOISE,), (1,)), 2, 5)


@pytest.mark.law("T8")
def test_the_command_runs_the_check_on_an_equal_case(capsys):
    command = shlex.split(replay_command(Subject.from_case(CASE), "check_inference"))
    assert command[:3] == ["python", "-m", "flaxlayer_testing.run.replay"]
    assert Case.from_json(command[-1]) == CASE
    main(command[3:])
    assert capsys.readouterr().out.startswith("check_inference passed; largest errors: {'float32'")


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
