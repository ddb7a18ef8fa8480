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


def masked(*inputs, outputs):
    spec = {
        "inputs": [*inputs, [[inputs[-1][0][0]], "bool"]],
        "nodes": [{"op": "dense", "args": [len(inputs) - 1], "options": DENSE}],
        "outputs": outputs,
        "structure": "tuple",
        "flag": None,
        "arguments": "positional",
        "mask": True,
        "style": "compact",
        "encoder": 0,
        "extras": [],
    }
    case = {"spec": spec, "batch_size": 2, "seed": 0, "unknown": []}
    step = ["call", {"batch": 2, "seed": 0, "statics": 0, "training": False}]
    about = {"settings": {}, "surrounding": "behind_mask", "steps": [step]}
    return Scenario.from_json(json.dumps({"case": case, **about}))


DENSE = {"features": 2, "param_dtype": "float32", "use_bias": True}
ROWS, STEPS = [[3], "float32"], [[4, 2], "float32"]


@pytest.mark.law("A4", "T9")
@pytest.mark.parametrize(
    ("inputs", "outputs", "place"),
    [
        ([STEPS], [1, 2], "behind_mask"),
        ([ROWS, STEPS], [3], "behind_mask"),
        # The mask that it gives back is one of its second input.
        ([ROWS, STEPS], [2, 3], "alone"),
        ([[[4], "float32"], STEPS], [2, 3], "alone"),
    ],
)
def test_a_module_stands_behind_a_mask_of_its_first_input_alone(inputs, outputs, place):
    ran = run_scenario(masked(*inputs, outputs=outputs))
    assert (ran.surrounding, ran.steps) == (place, ("call",))
