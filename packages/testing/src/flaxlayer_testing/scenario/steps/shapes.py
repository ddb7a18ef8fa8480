"""Steps that build a layer from shapes (B1, A10)."""

from __future__ import annotations

from typing import Any

from flaxlayer_testing.oracle.call import is_array
from flaxlayer_testing.scenario.script import Script
from flaxlayer_testing.scenario.steps.step_kinds import scenario_step
from flaxlayer_testing.scenario.world import World
from flaxlayer_testing.subject.keras_parts import global_policy
from flaxlayer_testing.subject.layer import variables_of

__all__ = ["build_from_shapes"]


def _from_shapes(world: World) -> bool:
    raw, as_made = world.raw, world.is_as_made and world.oracle.traceable
    arrays = bool(raw.inputs) and all(is_array(leaf) and leaf.ndim for leaf in raw.inputs)
    # A list of shapes stands for arguments that are all required.
    return as_made and arrays and not raw.arguments and not raw.takes_mask


def _shapes_text(script: Script, *, batch: str, training: bool) -> list[str]:
    world, size = script.world, script.world.case.batch_size
    raw = world.call_with(batch=size, seed=1)
    if world.expect_apart(world.started(), raw, training=training) is None:
        return []
    lines = [
        f"layer.build({_shapes(world, batch)})",
        *script.apart(world.started(), raw, training=training),
        f"same(expected, layer(*tensors(inputs), training={training}))",
        "same(variables, copied(layer.flax_variables()))",
    ]
    case = world.case_with(batch=size, seed=1)
    return [*script.arguments(case), *script.of_another(*lines)]


@scenario_step(
    *("B1", "A10"),
    fits=_from_shapes,
    on_built=False,
    batch=("known", "unknown"),
    training=(False, True),
    text=_shapes_text,
)
def build_from_shapes(world: World, *, batch: str, training: bool) -> None:
    """Builds a new layer of the same settings from the shapes of its inputs, then calls it."""
    raw = world.call_with(batch=world.case.batch_size, seed=1)
    expected = world.expect_apart(world.started(), raw, training=training)
    if expected is None:
        return
    with global_policy(world.drawn.policy):
        layer = world.new_layer()
        layer.build(_shapes(world, batch))
    actual = world.run_apart(layer, raw, training)
    what = "of a layer built from shapes"
    world.compare_values(expected[0].outputs, actual, f"outputs {what}")
    world.compare_values(expected[1].variables, variables_of(layer), f"variables {what}")


def _shapes(world: World, batch: str) -> Any:
    inputs = world.raw.inputs
    unknown = batch == "unknown" and world.oracle.takes_any_batch
    first = None if unknown else inputs[0].shape[0]
    shapes = [(first, *array.shape[1:]) for array in inputs]
    return shapes if len(shapes) > 1 else shapes[0]
