"""What stands around a layer gets what Keras gives to such a place (T9)."""

import json

import pytest

from flaxlayer_testing.scenario.course import run_scenario
from flaxlayer_testing.scenario.scenario import Scenario


def scenario(*, given, surrounding="custom_layer"):
    spec = {
        "inputs": [[[3], "float32"]],
        "nodes": [{"op": "sow_loss", "args": [0], "options": {"at_inference": True}}],
        "outputs": [1],
        "structure": "array",
        "flag": ["training", False, None],
        "arguments": "positional",
        "mask": False,
        "style": "compact",
        "encoder": 0,
        "extras": [["function", False, True], ["bias", False, True]],
    }
    case = {"spec": spec, "batch_size": 2, "seed": 0, "unknown": [], "framework": "nnx"}
    case |= {"instance": False, "given": given}
    step = ["call", {"batch": 2, "seed": 0, "statics": 0, "training": False}]
    about = {"settings": {}, "surrounding": surrounding, "steps": [step]}
    return Scenario.from_json(json.dumps({"case": case, **about}))


@pytest.mark.law("T9")
@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"function": "tanh"}, "custom_layer"),
        ({"bias": "array"}, "custom_layer"),
        ({"function": "tanh", "bias": "array"}, "alone"),  # Keras takes no mixture there
    ],
    ids=["static", "array", "both"],
)
def test_a_custom_layer_hands_on_static_values_or_arrays(given, place):
    ran = run_scenario(scenario(given=given))
    assert (ran.surrounding, ran.steps) == (place, ("call",))
