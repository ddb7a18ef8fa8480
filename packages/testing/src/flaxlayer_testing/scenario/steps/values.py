"""Steps that read and set the values of the variables, and hand the module back (W2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from flaxlayer_testing.oracle.model import LawModel, part_of, path_names, replaced
from flaxlayer_testing.oracle.variable_trees import random_like
from flaxlayer_testing.scenario.digits import digits_lines
from flaxlayer_testing.scenario.script import Script
from flaxlayer_testing.scenario.steps.layer_calls import take_call
from flaxlayer_testing.scenario.steps.step_kinds import has_variables, scenario_step
from flaxlayer_testing.scenario.world import World

__all__ = ["hand_back", "load_variables", "set_policy", "set_weights"]


def _odd(variables: Any) -> frozenset[str]:
    return frozenset(sorted(path_names(variables))[1::2])


def _load_text(script: Script, *, part: str, seed: int) -> list[str]:
    variables = script.world.state.variables
    known = "variables"
    if part == "first":
        known = f"{{name: variables[name] for name in {sorted(variables)[:1]}}}"
    lines = [f"loaded = random_like({known}, {seed})"]
    if part == "odd":
        lines.append(f"loaded = only(loaded, {sorted(_odd(variables))})")
    return [
        *lines,
        "layer.load_flax_variables(loaded)",
        "variables = put(variables, leaves(loaded))",
        script.holds(script.world.state),
    ]


@scenario_step(
    "W2", fits=has_variables, part=("whole", "first", "odd"), seed=(0, 1), text=_load_text
)
def load_variables(world: World, *, part: str, seed: int) -> None:
    """Loads a tree of variables, or a part of one, and goes on with its values."""
    variables = dict(world.state.variables)
    if part == "first":
        variables = dict(sorted(variables.items())[:1])
    given = random_like(variables, seed)
    if part == "odd":
        given = part_of(given, _odd(given))
    world.held.layer.load_flax_variables(given)
    loaded = path_names(given)
    world.state = replace(world.state, variables=replaced(world.state.variables, loaded))
    world.compare("after load_flax_variables")


def _set_text(script: Script) -> list[str]:
    return ["layer.set_weights(layer.get_weights())", script.holds(script.world.state)]


@scenario_step("W2", fits=has_variables, text=_set_text)
def set_weights(world: World) -> None:
    """Sets the weights to what Keras reads of them."""
    layer = world.held.layer
    layer.set_weights(layer.get_weights())
    world.compare("after set_weights")


def _back_text(script: Script) -> list[str]:
    return ["same(variables, raw.variables_of(layer.to_module()))"]


@scenario_step("W2", fits=lambda world: world.oracle.traceable, text=_back_text)
def hand_back(world: World) -> None:
    """Takes the module back, with the values that the layer has."""
    module, variables = world.raw.unbind(world.held.layer.to_module())
    assert module is not None
    world.compare_values(world.state.variables, variables, "variables of the module handed back")


def _has_no_policy(world: World) -> bool:
    drawn = world.drawn
    unset = drawn.policy is None and "dtype" not in drawn.arguments
    return (
        unset
        and "collections" not in drawn.arguments
        and world.oracle.traceable
        and world.oracle.bears_dtype("bfloat16")
    )


def _policy_text(script: Script, *, policy: str) -> list[str]:
    world = script.world
    raw, before = world.call_with(batch=2, seed=1), (world.state, world.laws)
    lines = [*script.arguments(world.case_with(batch=2, seed=1)), *script.taken(raw, False)]
    _, world.state = script.expected(raw, training=False)
    lines += [f"layer.dtype_policy = {policy!r}", script.holds(world.state)]
    world.laws = _under(world, policy)
    lines += [
        *digits_lines({*world.oracle.computed_dtypes, *world.computed}),
        *script.taken(raw, False),
    ]
    world.state, world.laws = before
    return lines


@scenario_step("A7", fits=_has_no_policy, policy=("mixed_bfloat16", "float32"), text=_policy_text)
def set_policy(world: World, *, policy: str) -> None:
    """Gives the layer a dtype policy between two calls."""
    raw = world.call_with(batch=2, seed=1)
    take_call(world, raw, False)
    world.held.layer.dtype_policy = policy
    world.laws = _under(world, policy)
    world.compare("under another policy")
    take_call(world, raw, False)


def _under(world: World, policy: str) -> LawModel:
    """Returns the laws under another dtype policy."""
    compute, laws = None if policy == keras.config.floatx() else "bfloat16", world.laws
    return replace(laws, settings=replace(laws.settings, compute_dtype=compute), context=policy)
