"""Steps that give the layer masks (A4)."""

from __future__ import annotations

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.scenario.script import Script
from flaxlayer_testing.scenario.steps.step_kinds import scenario_step
from flaxlayer_testing.scenario.world import World
from flaxlayer_testing.scenario.wrapped import fits_mask, gives_mask, numpy_mask
from flaxlayer_testing.subject.keras_parts import global_policy

__all__ = ["call_with_mask"]


def _takes_mask(world: World) -> bool:
    return world.raw.takes_mask and world.oracle.traceable and fits_mask(world.oracle)


def _mask_text(script: Script, *, training: bool) -> list[str]:
    world = script.world
    raw = world.call_with(batch=2, seed=1)
    inputs, arguments = script.masked(raw, "~mask_of(inputs[0])")
    masked = raw.with_mask(numpy_mask(raw.inputs[0]))
    return [
        *script.arguments(world.case_with(batch=2, seed=1)),
        f"arguments = {arguments}",
        f"inputs = {inputs}",
        *script.apart(world.state, masked, training=training),
        "masked = GivesMask()(tensors(inputs[0])), *tensors(inputs[1:])",
        f"same(expected, layer(*masked, training={training}, **tensors(arguments)))",
        script.holds(script.drawn(masked, training=training)),
    ]


@scenario_step(
    "A4",
    fits=_takes_mask,
    wants=lambda case: case.spec.mask,
    weight=4,
    training=(False, True),
    text=_mask_text,
)
def call_with_mask(world: World, *, training: bool) -> None:
    """Calls the layer with a mask of the caller's own, beside the one that its input carries."""
    raw = world.call_with(batch=2, seed=1)
    raw = raw.with_mask(~numpy_mask(raw.inputs[0]))
    expected = world.expect_apart(world.state, raw, training=training)
    if expected is None:
        return
    result, state = expected
    backend = current_backend()
    (first, *rest), kwargs = backend.to_backend((raw.inputs, dict(raw.arguments)))
    with global_policy(world.drawn.policy):
        outputs = world.held.layer(gives_mask()(first), *rest, training=training, **kwargs)
    what = "outputs with a mask of the caller"
    world.compare_values(result.outputs, backend.to_arrays(outputs), what)
    world.state = state
    world.compare("after a call with a mask")
