"""Classes that are made again from their names, and text that a traceback shows."""

import traceback

import pytest

from flaxlayer_testing import Flag, ModuleSpec, ValueType
from flaxlayer_testing.render.classes import ClassForm, execute, generated_class

SPEC = ModuleSpec((ValueType((3,)),) * 2, (), (0,), flag=Flag("train", True), encoder=1)


class PlainModule:
    pass


def made(name, **functions):
    return generated_class(name, PlainModule, lambda module: functions, {"Side": None})


@pytest.mark.parametrize("setup", [False, True])
def test_a_form_is_told_by_its_name(setup):
    form = ClassForm.of(SPEC, setup=setup)
    assert ClassForm.from_name(form.name) == form
    assert (form.setup, form.encodes) == (setup, True)


def test_a_class_hands_its_calls_on():
    kind = made(f"Plain{ClassForm.of(SPEC).name}", __call__=lambda self, *xs, train: (*xs, train))
    assert kind()(1, 2, train=True) == (1, 2, True)
    assert issubclass(kind, PlainModule)
    assert kind.__module__ == __name__


@pytest.mark.parametrize("name", ["Plain99", "Other1", "Plain"])
def test_a_name_of_no_form_is_no_attribute(name):
    with pytest.raises(AttributeError, match=f"{__name__}' has no attribute '{name}'"):
        made(name)


def test_a_traceback_shows_the_text_that_ran():
    run = execute("def f():\n    return 1 / zero\n", "<shown>", {"zero": 0})["f"]
    with pytest.raises(ZeroDivisionError) as caught:
        run()
    assert "return 1 / zero" in "".join(traceback.format_exception(caught.value))
