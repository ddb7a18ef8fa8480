"""Steps that call the layer, and read what a call will use (§4, §5)."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat
from typing import Any

import jax
import numpy as np

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.oracle.call import RawCall
from flaxlayer_testing.oracle.model import Result
from flaxlayer_testing.oracle.probe import probe_loss
from flaxlayer_testing.oracle.variable_trees import cast_floats
from flaxlayer_testing.scenario.layer_settings import shows_unknown
from flaxlayer_testing.scenario.script import Script
from flaxlayer_testing.scenario.steps.step_kinds import scenario_step
from flaxlayer_testing.scenario.world import World
from flaxlayer_testing.subject.keras_parts import global_policy
from flaxlayer_testing.subject.layer import arrays_of, as_symbolic, peeked_keys

__all__ = [
    "call",
    "call_in_dtype",
    "call_in_jit",
    "call_in_size",
    "call_symbolically",
    "call_with_flag",
    "peek",
    "take_call",
]


def _call_text(
    script: Script, *, training: bool | None, batch: int, seed: int, statics: int = 0
) -> list[str]:
    world = script.world
    return [
        *script.arguments(world.case_with(batch=batch, seed=seed, statics=statics)),
        *script.taken(world.call_with(batch=batch, seed=seed, statics=statics), training),
    ]


@scenario_step(
    *("A2", "A5", "A6", "C3", "C4", "C5", "C7", "R2"),
    on_built=False,
    training=(False, True, None),
    batch=(2, 1, 3, 5, 0),
    seed=(0, 1, 2),
    statics=(0, 1, 2),
    text=_call_text,
)
def call(world: World, *, training: bool | None, batch: int, seed: int, statics: int = 0) -> None:
    """Calls the layer in its surrounding."""
    take_call(world, world.call_with(batch=batch, seed=seed, statics=statics), training)


def _flagged(world: World) -> bool:
    return world.case.spec.flag is not None and not world.held.flat


def _flag_text(script: Script, *, value: bool, training: bool | None) -> list[str]:
    raw, flag = script.world.call_with(batch=2, seed=1), script.world.case.spec.flag
    assert flag is not None
    lines = script.arguments(script.world.case_with(batch=2, seed=1))
    if flag.name == "training":
        return [*lines, *script.taken(raw, value)]
    own = replace(raw, arguments={**raw.arguments, flag.name: value})
    named = f"arguments = {{**arguments, {flag.name!r}: {value}}}"
    return [*lines, named, *script.taken(own, training)]


@scenario_step(
    "A2",
    fits=_flagged,
    wants=lambda case: case.spec.flag is not None,
    value=(True, False),
    training=(False, True, None),
    text=_flag_text,
)
def call_with_flag(world: World, *, value: bool, training: bool | None) -> None:
    """Calls the layer with a value of the caller's own for the module's training argument."""
    raw, flag = world.call_with(batch=2, seed=1), world.case.spec.flag
    assert flag is not None
    if flag.name == "training":  # Keras's own word for it
        take_call(world, raw, value)
        return
    own = {**raw.arguments, flag.name: value}
    take_call(world, replace(raw, arguments=own), training)


def _in_dtype(world: World, dtype: str) -> RawCall | None:
    """Returns the call on inputs of another dtype, where it can be taken."""
    raw = world.call_with(batch=2, seed=1)
    args, kwargs = raw.merge(cast_floats(raw.arrays, dtype))
    other = replace(raw, inputs=args, arguments=kwargs)
    return other if not world.held.flat and world.oracle.accepts(other) else None


def _dtype_text(script: Script, *, dtype: str, training: bool) -> list[str]:
    other = _in_dtype(script.world, dtype)
    if other is None:
        return []
    return [
        *script.arguments(script.world.case_with(batch=2, seed=1)),
        f"inputs, arguments = cast((inputs, arguments), {dtype!r})",
        *script.taken(other, training),
    ]


@scenario_step("A10", "C4", dtype=("float16", "bfloat16"), training=(False, True), text=_dtype_text)
def call_in_dtype(world: World, *, dtype: str, training: bool) -> None:
    """Calls the layer on floating inputs of another dtype than those of the build."""
    other = _in_dtype(world, dtype)
    if other is not None:
        take_call(world, other, training)


def _in_size(world: World, batch: int) -> RawCall | None:
    """Returns the call on larger sizes, where it can be taken."""
    fixed = world.held.model is not world.held.layer and not world.drawn.unknown_sizes
    raw = world.call_with(batch=batch, seed=2, grown=True)
    return raw if not fixed and world.oracle.accepts(raw) else None


def _size_text(script: Script, *, training: bool, batch: int) -> list[str]:
    raw = _in_size(script.world, batch)
    if raw is None:
        return []
    case = script.world.case_with(batch=batch, seed=2, grown=True)
    return [*script.arguments(case), *script.taken(raw, training)]


@scenario_step(
    *("A1", "B1"),
    fits=lambda world: bool(world.case.unknown),
    wants=shows_unknown,
    weight=3,
    training=(False, True),
    batch=(2, 3),
    text=_size_text,
)
def call_in_size(world: World, *, training: bool, batch: int) -> None:
    """Calls the layer on larger sizes than those of the build, beside the batch."""
    raw = _in_size(world, batch)
    if raw is not None:
        take_call(world, raw, training)


def _symbolic_text(script: Script, *, training: bool) -> list[str]:
    world = script.world
    raw = world.call_with(batch=2, seed=0)
    if isinstance(world.expect(raw, training=training), Exception) or world.held.flat:
        return []
    return [
        *script.arguments(world.case_with(batch=2, seed=0)),
        *script.expected(raw, training=training, moves=False)[0],
        "args, kwargs = symbolic((inputs, arguments))",
        f"found = layer(*args, training={training}, **kwargs)",
        "wanted = [(y.shape, str(y.dtype)) for y in arrays_of(expected)]",
        "assert [(y.shape, str(y.dtype)) for y in arrays_of(found)] == wanted",
        script.holds(world.state),
    ]


@scenario_step(
    *("A6", "B1"),
    fits=lambda world: world.oracle.traceable,
    training=(False, True),
    text=_symbolic_text,
)
def call_symbolically(world: World, *, training: bool) -> None:
    """Calls the layer on Keras tensors, which tells shapes and dtypes and moves nothing."""
    raw = world.call_with(batch=2, seed=0)
    expected = world.expect(raw, training=training)
    if isinstance(expected, Exception) or world.held.flat:
        return
    given = as_symbolic((raw.inputs, dict(raw.arguments)))
    with global_policy(world.drawn.policy):
        outputs = world.held.layer(*given[0], training=training, **given[1])
    wanted = [(tuple(y.shape), str(y.dtype)) for y in arrays_of(expected[0].outputs)]
    found = [(tuple(y.shape), y.dtype) for y in arrays_of(outputs)]
    if found != wanted:
        raise KeepLawError(
            "A symbolic call gives other forms.", expected=f"{wanted}", found=f"{found}", law="B1"
        )
    world.compare("after a symbolic call")


def _jax(world: World) -> bool:
    return current_backend().name == "jax" and world.oracle.traceable and not world.held.flat


def _jit_text(script: Script, *, training: bool) -> list[str]:
    world = script.world
    raw = world.call_with(batch=2, seed=2)
    expected = world.expect(raw, training=training)
    if isinstance(expected, Exception):
        return []
    lines = [
        f"arrays, merge = split(({', '.join(script.given(raw))}))",
        f"in_jit = jax.jit(lambda arrays: arrays_of(run(*merge(arrays), {training})))",
    ]
    lines = [*script.arguments(world.case_with(batch=2, seed=2)), *lines]
    if world.moves(expected[1], raw, training=training):
        return script.refused("in_jit(arrays)", *lines)
    lines += script.expected(raw, training=training, moves=False)[0]
    compared = "same(arrays_of(expected), in_jit(arrays), exact=False)"
    return [*lines, compared, script.holds(world.state)]


@scenario_step("A6", "A9", "C4", fits=_jax, training=(False, True), text=_jit_text)
def call_in_jit(world: World, *, training: bool) -> None:
    """Calls the layer inside `jax.jit`: what would change it is refused, all else is computed."""
    raw = world.call_with(batch=2, seed=2)
    expected = world.expect(raw, training=training)
    if isinstance(expected, Exception):
        return
    result, state = expected
    moves = world.moves(state, raw, training=training)
    raw = world.given_by_caller(raw)

    def run(arrays: Any) -> Any:
        args, kwargs = raw.merge(arrays)
        with global_policy(world.drawn.policy):
            outputs = world.held.run(args, kwargs, training)
        return arrays_of(outputs)

    if moves:
        world.refused(
            "a call in jit that changes the layer", lambda: jax.jit(run)(raw.arrays), "A9"
        )
        return
    outputs = arrays_of(result.outputs)
    world.compare_values(outputs, jax.jit(run)(raw.arrays), "outputs in jit", inlined=True)
    world.compare("after a call in jit")


def take_call(world: World, raw: RawCall, training: bool | None, *, inlined: bool = False) -> None:
    """Calls the layer, and compares outputs, state, sown values and losses with the laws."""
    mode = bool(training)
    expected = world.expect(raw, training=mode)
    if isinstance(expected, Exception):
        _expect_refusal(world, raw, mode, expected)
        return
    result, state = expected
    actual = world.run_layer(raw, training)
    world.flagged = not raw.arguments.keys() <= world.raw.arguments.keys()
    when = f"a call with training={training}"
    world.compare_outputs(result, actual, f"outputs of {when}", inlined=inlined)
    world.compare_masks(raw)
    world.state = state
    world.compare(f"after {when}", inlined=inlined)
    _compare_sown(world, result, inlined=inlined)


def _expect_refusal(world: World, raw: Any, training: bool, error: Exception) -> None:
    # What raw Flax refuses for its shape must not pass; Keras itself may refuse it first.
    what, new = "a call that raw Flax refuses", world.has_new_model
    if world.fails(what, lambda: world.run_layer(raw, training)):
        if new:
            world.put(world.held.layer)
        return
    raise KeepLawError(
        "The layer takes a call that raw Flax refuses.",
        expected=f"{type(error).__name__}: {error}"[:300],
        found="outputs",
        law="A1",
    )


def _compare_sown(world: World, result: Result, *, inlined: bool) -> None:
    model, behind = world.held.model, world.place.losses_behind
    if model is world.held.layer:
        world.compare_values(result.sown, dict(model.sown), "sown values", inlined=inlined)
    elif not behind:
        return  # inside a model they are Keras's
    # Not a product with the number, which of NaN is one even for no layer behind.
    expected = sum(repeat(probe_loss(result.outputs), behind), result.loss)
    total = sum(map(current_backend().to_numpy, model.losses), np.zeros((), np.float32))
    world.compare_values(
        np.asarray(expected, np.float32), np.asarray(total, np.float32), "losses", inlined=True
    )


def _peek_text(script: Script, *, training: bool) -> list[str]:
    world = script.world
    keys = script.keys(world.state, world.raw, training=training)
    mask = "" if world.drawn.hides_masks else "mask_of(inputs[0])"
    inputs, arguments = script.given(world.raw, mask)
    given = (f"*{inputs}, ", f", **{arguments}") if world.flagged else ("", "")
    return [
        *(script.arguments() if world.flagged else ()),
        f"same({keys}, dict(layer.peek_rngs({given[0]}training={training}{given[1]})))",
        script.holds(world.state),
    ]


@scenario_step("R4", training=(True, False), text=_peek_text)
def peek(world: World, *, training: bool) -> None:
    """Reads the keys of the next call, which draws none."""
    expected = world.laws.keys(world.state, world.raw, training=training)
    # Without arguments it is of the form of the latest call.
    seen = world.seen_by_module(world.raw)
    given = (seen.inputs, seen.arguments) if world.flagged else ((), {})
    found = peeked_keys(world.held.layer, *given[0], training=training, **given[1])
    data = [
        {name: jax.random.key_data(key) for name, key in keys.items()} for keys in (expected, found)
    ]
    compare_trees(*data, bitwise=True, path="keys of the next call")
    world.compare("after a look at the next keys")
