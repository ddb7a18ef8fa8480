"""The steps of a scenario; a file is a topic, and each step a function that registers itself."""

from __future__ import annotations

from flaxlayer_testing.scenario.steps import (
    bad_input,
    calls_in_context,
    files,
    freezing,
    layer_calls,
    masked_calls,
    method_calls,
    shapes,
    threaded_calls,
    training_steps,
    values,
)
from flaxlayer_testing.scenario.steps.step_kinds import known_steps

__all__ = ["STEPS"]

_TOPICS = (
    *(layer_calls, method_calls, freezing, training_steps, values, files, calls_in_context),
    *(masked_calls, threaded_calls, shapes, bad_input),
)

STEPS = known_steps()
"""Every step by its name, the simplest first."""
