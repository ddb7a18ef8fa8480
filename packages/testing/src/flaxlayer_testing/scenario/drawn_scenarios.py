"""Hypothesis strategies for scenarios (T9)."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from flaxlayer_testing.generate.draw.drawer import Draw, once
from flaxlayer_testing.generate.strategies import cases_of
from flaxlayer_testing.scenario.layer_settings import SETTINGS
from flaxlayer_testing.scenario.places import SURROUNDINGS
from flaxlayer_testing.scenario.scenario import Options, Scenario
from flaxlayer_testing.scenario.setting_kinds import anything
from flaxlayer_testing.scenario.steps import STEPS
from flaxlayer_testing.scenario.steps.step_kinds import draw_step
from flaxlayer_testing.spec.spec import TOLD, Case, Framework

__all__ = ["scenarios"]

MOST_STEPS = 5


def scenarios(*, framework: Framework = "linen", max_nodes: int = 3) -> st.SearchStrategy[Scenario]:
    """Draws scenarios.

    Args:
        framework: What the module is of: `"linen"` or `"nnx"`.
        max_nodes: As for `modules`.

    Returns:
        A strategy for scenarios, which serialise and replay. The simplest is one call of a
        `Dense`.
    """
    return once(_scenarios(framework, max_nodes))


@st.composite
def _scenarios(draw: st.DrawFn, framework: Framework, max_nodes: int) -> Scenario:
    case = draw(cases_of(framework, max_nodes=max_nodes))
    drawer = Draw(draw)
    if drawer.one_of((False,) * 7 + (True,)):
        case = replace(case, spec=replace(case.spec, structure=TOLD))
    settings = _draw_settings(drawer, case)
    surrounding = drawer.one_of(_places(settings))
    kinds = _kinds(case)
    count = 1 + drawer.number(MOST_STEPS)
    steps = [drawer.span(lambda inner: draw_step(inner, kinds)) for _ in range(count)]
    # A layer that is made anew is what may lose its settings.
    anew = drawer.one_of((False, False, True))
    if anew and settings:
        steps.insert(drawer.number(len(steps)), draw_step(drawer, ("reload",)))
    return Scenario(case, settings, surrounding, tuple(steps))


def _places(settings: Options) -> tuple[str, ...]:
    # Where a setting shows in one place alone, half of its scenarios stand there.
    shown = [SETTINGS[name].place for name, _ in settings if SETTINGS[name].place]
    return (*SURROUNDINGS, *(place for place in shown for _ in SURROUNDINGS))


def _kinds(case: Case) -> tuple[str, ...]:
    """Returns the kinds of steps to draw from, those of users among them."""
    # A call is what shows most, so that a third of all steps are calls; what is slow is drawn less.
    fitting = [kind for kind in STEPS.values() if kind.wants(case)]
    often = [kind.name for kind in fitting if not kind.slow for _ in range(3 * kind.weight)]
    slow = [kind.name for kind in fitting if kind.slow for _ in range(2)]
    return (*("call",) * (len(often) // 3), *often, *slow)


def _draw_settings(draw: Draw, case: Case) -> Options:
    # Two settings at most hide each other less than all of them would.
    count = draw.one_of((0, 1, 2, 1))
    usual = [name for name, setting in SETTINGS.items() if setting.wants is anything]
    names = {draw.one_of(usual) for _ in range(count)}
    # What few modules have a use for is drawn for a third of those.
    known = [name for name, part in SETTINGS.items() if part.only in ("", case.framework)]
    special = [name for name in known if name not in usual and SETTINGS[name].wants(case)]
    names |= {name for name in special if draw.one_of((False, False, True))}
    return tuple((name, draw.one_of(SETTINGS[name].values)) for name in sorted(names))
