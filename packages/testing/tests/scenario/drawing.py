"""Scenarios that are drawn, and not run."""

import functools

import hypothesis
from hypothesis import HealthCheck, Phase, given, seed

from flaxlayer_testing.scenario.drawn_scenarios import scenarios


@functools.cache
def drawn(framework, count, number=0):
    """Draws scenarios, none of which is run."""
    found = []

    @seed(number)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(scenarios(framework=framework))
    def draw(scenario):
        found.append(scenario)

    draw()
    return found
