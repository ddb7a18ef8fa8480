"""Steps that call the layer, where only the course of a scenario shows what they compare (T9)."""

import json

import pytest

from flaxlayer_testing.scenario.course import run_scenario
from flaxlayer_testing.scenario.scenario import Scenario

FLAGGED = ["call_with_flag", {"training": False, "value": True}]
PEEK = ["peek", {"training": False}]
CALL = ["call", {"batch": 2, "seed": 0, "statics": 0, "training": False}]


def scenario(*steps):
    noise = {"op": "training_noise", "args": [0], "options": {"stream": "noise"}}
    spec = {
        "inputs": [[[3], "float32"]],
        "nodes": [noise],
        "outputs": [1],
        "structure": "array",
        "flag": ["train", False, None],
        "arguments": "positional",
        "mask": False,
        "style": "compact",
        "encoder": 0,
        "extras": [],
    }
    case = {"spec": spec, "batch_size": 2, "seed": 0, "unknown": []}
    about = {"settings": {}, "surrounding": "alone", "steps": list(steps)}
    return Scenario.from_json(json.dumps({"case": case, **about}))


@pytest.mark.law("R4", "T9")
@pytest.mark.parametrize(
    "steps", [(FLAGGED, PEEK), (FLAGGED, CALL, PEEK), (CALL, PEEK), (PEEK,)], ids=len
)
def test_the_next_keys_are_those_of_the_call_of_the_case(steps):
    ran = run_scenario(scenario(*steps))
    assert ran.steps == tuple(name for name, _ in steps)
