"""Hypothesis strategies for scenarios (T9)."""

from __future__ import annotations

from hypothesis import strategies as st

from flaxlayer_testing.generate.draw.drawer import Draw
from flaxlayer_testing.generate.nnx_strategies import nnx_cases
from flaxlayer_testing.generate.strategies import cases
from flaxlayer_testing.scenario.layer_settings import SETTINGS
from flaxlayer_testing.scenario.places import SURROUNDINGS
from flaxlayer_testing.scenario.scenario import Options, Scenario
from flaxlayer_testing.scenario.steps import STEPS
from flaxlayer_testing.scenario.steps.step_kinds import draw_step
from flaxlayer_testing.spec.spec import Framework

__all__ = ["scenarios"]

MOST_STEPS = 5


@st.composite
def scenarios(draw: st.DrawFn, *, framework: Framework = "linen", max_nodes: int = 3) -> Scenario:
    """Draws scenarios.

    Args:
        draw: Given by Hypothesis.
        framework: What the module is of: `"linen"` or `"nnx"`.
        max_nodes: As for `modules`.

    Returns:
        A scenario, which serialises and replays. The simplest is one call of a `Dense`.
    """
    case = draw((cases if framework == "linen" else nnx_cases)(max_nodes=max_nodes))
    drawer = Draw(draw)
    settings = _draw_settings(drawer)
    surrounding = drawer.one_of(tuple(SURROUNDINGS))
    count = 1 + drawer.number(MOST_STEPS)
    kinds = _kinds()
    steps = [drawer.span(lambda inner: draw_step(inner, kinds)) for _ in range(count)]
    return Scenario(case, settings, surrounding, tuple(steps))


def _kinds() -> tuple[str, ...]:
    # A call is what shows most, so that half of all steps are calls; what takes seconds comes last.
    often = tuple(name for name, kind in STEPS.items() if not kind.slow)
    return ("call",) * (len(often) // 2) + often * 2 + tuple(n for n in STEPS if n not in often)


def _draw_settings(draw: Draw) -> Options:
    # Two settings at most hide each other less than all of them would.
    count = draw.one_of((0, 1, 2, 1))
    names = {draw.one_of(tuple(SETTINGS)) for _ in range(count)}
    return tuple((name, draw.one_of(SETTINGS[name].values)) for name in sorted(names))
