"""Steps that call another method of the module as a layer of its own (A3)."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.oracle.call import RawCall
from flaxlayer_testing.scenario.blame import failure_of
from flaxlayer_testing.scenario.script import Script
from flaxlayer_testing.scenario.steps.step_kinds import scenario_step
from flaxlayer_testing.scenario.world import World
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.subject.keras_parts import global_policy
from flaxlayer_testing.subject.layer import variables_of

__all__ = ["call_first_by_method", "call_method"]


def _has_methods(case: Case) -> bool:
    return case.spec.encoder > 0


def _methods(world: World) -> bool:
    return _has_methods(world.case)


FORMS = ("name", "function", "partial", "turned")
"""How the method is given: by its name, itself, with its flag, with its flag the other way."""


def _form(world: World, form: str) -> tuple[str, dict[str, bool], str | None]:
    """Returns the text of the method, arguments that it brings, its training argument."""
    flag = world.case.spec.flag
    if flag is None or form in FORMS[:2]:
        return "'encode'" if form == "name" else "Model.encode", {}, None
    if form == "turned":
        return "'encode'", {}, f"~{flag.name}" if flag.argument(True) else flag.name
    own = {flag.name: flag.argument(True)}
    text = f"functools.partial(Model.encode, {flag.name}={own[flag.name]})"
    return text, own, None


def _encoding(world: World, raw: RawCall, form: str) -> RawCall:
    _, own, turned = _form(world, form)
    arguments = {**raw.arguments, **own}
    return replace(raw, method="encode", training_arg=turned, arguments=arguments)


def _method_text(script: Script, *, training: bool, seed: int, form: str = "name") -> list[str]:
    world = script.world
    raw = _encoding(world, world.call_with(batch=2, seed=seed), form)
    if world.expect_apart(world.state, raw, training=training) is None:
        return []
    text, own, turned = _form(world, form)
    words = text if turned is None else f"{text}, training_arg={turned!r}"
    return [
        *script.arguments(world.case_with(batch=2, seed=seed)),
        f"encode, given = layer.method({words}), arguments",
        *([f"arguments = {{**arguments, **{own}}}"] if own else []),
        *script.apart(world.state, raw, training=training),
        f"same(expected, encode(*tensors(inputs), training={training}, **tensors(given)))",
        script.holds(script.drawn(raw, training=training)),
        "assert {id(v) for v in encode.weights} <= {id(v) for v in layer.weights}",
    ]


@scenario_step(
    *("A3", "R2", "C5"),
    fits=_methods,
    wants=_has_methods,
    weight=8,
    training=(False, True),
    seed=(0, 1),
    form=FORMS,
    text=_method_text,
)
def call_method(world: World, *, training: bool, seed: int, form: str = "name") -> None:
    """Calls another method of the module as a layer of its own, on the same weights."""
    given = world.call_with(batch=2, seed=seed)
    raw = _encoding(world, given, form)
    expected = world.expect_apart(world.state, raw, training=training)
    if expected is None:
        return  # the method is not that of the first inputs
    (result, state), (_, own, turned) = expected, _form(world, form)
    layer = world.held.layer.method(_named(raw, form, own), training_arg=turned)
    actual = world.run_apart(layer, replace(raw, arguments=given.arguments), training)
    world.compare_values(result.outputs, actual, "outputs of a method")
    world.state = state
    world.compare("after a call of a method")
    shared = {id(v) for v in layer.weights} <= {id(v) for v in world.held.layer.weights}
    if not shared:
        raise KeepLawError(
            "A method has weights of its own.",
            expected="those of its layer",
            found="others",
            law="A3",
        )


def _named(raw: RawCall, form: str, own: dict[str, bool]) -> Any:
    if form in ("name", "turned"):
        return "encode"
    function = getattr(type(raw.target), raw.method)
    return functools.partial(function, **own) if own else function


def _starts_anew(world: World) -> bool:
    return _methods(world) and world.is_as_made and world.oracle.traceable


def _first_text(script: Script, *, training: bool) -> list[str]:
    world, started = script.world, script.world.started()
    raw = _encoding(world, world.call_with(batch=world.case.batch_size, seed=1), "name")
    made = "encode = layer.method('encode')"
    call = f"encode(*tensors(inputs), training={training}, **tensors(arguments))"
    lines = [made, f"refused(layer, lambda: {call})"]
    if world.subject.init_method is not None:
        lines = [made, *script.apart(started, raw, training=training), f"same(expected, {call})"]
        lines.append("same(variables, copied(layer.flax_variables()))")
    case = world.case_with(batch=world.case.batch_size, seed=1)
    return [*script.arguments(case), *script.of_another(*lines)]


@scenario_step(
    *("A3", "B2"),
    fits=_starts_anew,
    wants=_has_methods,
    on_built=False,
    weight=7,
    training=(False, True),
    text=_first_text,
)
def call_first_by_method(world: World, *, training: bool) -> None:
    """Calls a method of a new layer first: it builds it by its `init_method`, else is refused."""
    raw = _encoding(world, world.call_with(batch=world.case.batch_size, seed=1), "name")
    with global_policy(world.drawn.policy):
        layer = world.new_layer()
        method = layer.method("encode")
    if world.subject.init_method is None:
        error = failure_of(lambda: world.run_apart(method, raw, training))
        _refuse_built(layer, error)
        return
    expected = world.expect_apart(world.started(), raw, training=training)
    if expected is None:
        return
    actual = world.run_apart(method, raw, training)
    what = "of a layer that a method builds"
    world.compare_values(expected[0].outputs, actual, f"outputs {what}")
    world.compare_values(expected[1].variables, variables_of(layer), f"variables {what}")


def _refuse_built(layer: Any, error: Exception | None) -> None:
    if error is None or "\nLaw: " not in str(error) or layer.built:
        raise KeepLawError(
            "A method is called before its layer is built, which has no init_method.",
            expected="an error that explains it, and a layer that is not built",
            found=f"{error!r}"[:300] + (", and the layer is built" if layer.built else ""),
            law="A3",
        )
