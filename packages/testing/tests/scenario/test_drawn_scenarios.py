"""Scenarios are drawn with floors: nothing that may be drawn is rare."""

from collections import Counter

import pytest

from flaxlayer_testing.run.case_stream import draw_distinct
from flaxlayer_testing.scenario.drawn_scenarios import scenarios
from flaxlayer_testing.scenario.layer_settings import SETTINGS
from flaxlayer_testing.scenario.places import SURROUNDINGS
from flaxlayer_testing.scenario.scenario import Scenario
from flaxlayer_testing.scenario.steps import STEPS
from packages.testing.tests.scenario.drawing import drawn

CASES = 2000
FLOOR = 0.02


@pytest.mark.slow
@pytest.mark.law("T9")
@pytest.mark.parametrize("framework", ["linen", "nnx"])
def test_each_setting_surrounding_and_step_is_in_two_percent_of_the_cases(framework):
    found, counts = drawn(framework, CASES), Counter()
    for scenario in found:
        counts.update({("setting", name) for name, _ in scenario.settings})
        counts.update({("step", step.kind) for step in scenario.steps})
        counts["surrounding", scenario.surrounding] += 1
    known = [name for name, setting in SETTINGS.items() if setting.only in ("", framework)]
    wanted = [("setting", name) for name in known]
    wanted += [("step", name) for name in STEPS] + [("surrounding", n) for n in SURROUNDINGS]
    rare = {name: counts[name] for name in wanted if counts[name] < FLOOR * len(found)}
    assert rare == {}


@pytest.mark.slow
@pytest.mark.law("T9")
def test_a_step_is_drawn_for_the_modules_that_have_a_use_for_it_alone():
    found = [scenario for scenario in drawn("linen", CASES) if scenario.case.spec.encoder == 0]
    assert not [s for s in found if "call_method" in {step.kind for step in s.steps}]


@pytest.mark.slow
@pytest.mark.law("T1", "T9")
def test_every_scenario_is_read_back_from_its_json():
    for scenario in drawn("linen", CASES)[:200]:
        assert Scenario.from_json(scenario.to_json()) == scenario


@pytest.mark.law("T9")
def test_searches_with_different_seeds_begin_differently_and_run_different_modules():
    found = {}
    for number in (0, 1):
        taken = found.setdefault(number, [])
        draw_distinct(
            scenarios(), number, lambda one, taken=taken: taken.append(one) or len(taken) == 50
        )
    assert not set(found[0]) & set(found[1])
    assert all(len({one.case.spec for one in taken}) > 45 for taken in found.values())
