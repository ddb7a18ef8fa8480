"""Draws graphs: nodes one after the other, nested modules, the training argument (T1)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from math import prod

from hypothesis import reject

from flaxlayer_testing.generate.draw.candidates import (
    MAX_VALUE,
    NAMES,
    Plan,
    assignments,
    candidates,
    loose_ends,
    ordered,
    repeatable,
)
from flaxlayer_testing.generate.draw.drawer import Draw
from flaxlayer_testing.spec.operations.operation import is_float
from flaxlayer_testing.spec.spec import FLAG_NAMES, Flag, ModuleSpec, Node, ValueType
from flaxlayer_testing.spec.traits import spec_traits
from flaxlayer_testing.spec.transforms import TRANSFORMS
from flaxlayer_testing.spec.typing import fits_transform, value_types

__all__ = ["FLAGS", "draw_flag", "draw_nodes", "draw_style", "fitting_flags"]

FLAGS = tuple(
    Flag(*kind) for kind in itertools.product(FLAG_NAMES, (False, True), (None, False, True))
)
"""Every training argument, the simplest first."""

# Four nodes on average, if six are allowed.
CONTINUE = (False, True, True, True, True, True)

_BY_FEATURE = {transform.feature: name for name, transform in TRANSFORMS.items()}
# Flax puts these scopes into the calling module, where their names would meet.
_ONCE = frozenset({"compact_name_scope"})
_NESTING = frozenset({"nested", *_BY_FEATURE})


def draw_nodes(
    draw: Draw, inputs: tuple[ValueType, ...], plan: Plan
) -> tuple[tuple[Node, ...], list[ValueType]]:
    """Draws the nodes of a graph.

    Args:
        draw: What to draw with.
        inputs: Types of the inputs.
        plan: What the graph may be.

    Returns:
        The nodes, and the types of all values: first those of the inputs, of which the only one may
        be another than was given if the plan has stand-ins.
    """
    nodes: tuple[Node, ...] = ()
    types = list(inputs)
    more = not plan.needed or draw.one_of(CONTINUE)
    steps = [None] * plan.max_nodes
    for needed in (*steps, *plan.needed):
        if not (more or needed):
            continue
        step = partial(_draw_step, types=types, nodes=nodes, needed=needed, plan=plan)
        node, kinds, more = draw.span(step)
        if node is not None:
            inputs = inputs if nodes else kinds
            nodes = (*nodes, node)
            types = list(value_types(_open_graph(inputs, nodes)))
    return nodes, types


def _draw_step(
    draw: Draw,
    types: Sequence[ValueType],
    nodes: Sequence[Node],
    needed: str | None,
    plan: Plan,
) -> tuple[Node | None, tuple[ValueType, ...], bool]:
    """Draws a node, with the types of the values before it, and whether another follows."""
    # That stands behind each node, so that every node but one can be deleted.
    node, kinds = _draw_node(draw, types, nodes, needed, plan)
    return node, kinds, draw.one_of(CONTINUE)


def _open_graph(inputs: tuple[ValueType, ...], nodes: tuple[Node, ...]) -> ModuleSpec:
    # Typed before its own flag is drawn: with one, no operation is refused.
    return ModuleSpec(inputs, nodes, (0,), "array", FLAGS[0])


def _draw_node(
    draw: Draw,
    types: Sequence[ValueType],
    nodes: Sequence[Node],
    needed: str | None,
    plan: Plan,
) -> tuple[Node | None, tuple[ValueType, ...]]:
    used = _ONCE & {node.op for node in nodes}
    found = candidates(types, nodes, needed, plan)
    fitting = {name: places for name, places in found.items() if name not in used}
    others = {} if nodes or needed else _stand_ins(plan)
    repeats = repeatable(types, nodes) if needed in (None, "tied_submodule") else []
    nests = plan.nests and (needed is None or needed in _NESTING)
    names = {*fitting, *others, *(["nested"] if nests else [])}
    if repeats and "tied_submodule" not in plan.without:
        names.add("again")
    if not names:
        return None, tuple(types)
    # From all operations, whatever applies, so that a choice means the same after others are gone.
    name = draw.one_of(NAMES, allowed=names)
    if name == "nested":
        return _draw_nested(draw, types, ordered(types, nodes), needed, plan), tuple(types)
    if name == "again":
        position, numbers = draw.one_of(repeats)
        return Node("again", numbers, (("node", position),)), tuple(types)
    if name not in fitting:
        types, fitting = (others[name],), candidates((others[name],), nodes, needed, plan)
    args = draw.mostly_first(fitting[name])
    kinds = tuple(types[number] for number in args)
    options = assignments(name, kinds, needed, plan.without, plan.setup)
    return Node(name, args, draw.one_of(options)), tuple(types)


def _stand_ins(plan: Plan) -> dict[str, ValueType]:
    """Returns the first type that each operation takes, of those that may be the one input's."""
    found: dict[str, ValueType] = {}
    for kind in plan.stand_ins:
        found = {name: kind for name in candidates((kind,), (), None, plan)} | found
    return found


# Nested modules.


def draw_style(draw: Draw, plan: Plan, *, needed: bool) -> bool:
    """Draws whether a module makes its submodules in `setup`."""
    drawn = draw.one_of((False, False, False, False, True))
    return needed or (drawn and "setup" not in plan.without)


def _draw_nested(
    draw: Draw,
    types: Sequence[ValueType],
    numbers: Sequence[int],
    needed: str | None,
    plan: Plan,
) -> Node | None:
    wanted = _draw_transform(draw, needed, plan)
    fitting = _fitting_numbers(types, numbers, wanted)
    if not fitting and needed in _BY_FEATURE:
        return None
    wanted, numbers = (wanted, fitting) if fitting else ("", numbers)
    count = 1 if wanted in _SINGLE else min(draw.one_of((1, 2)), len(numbers))
    args = tuple(numbers[:count])
    taken = tuple(types[number] for number in args)
    inputs = TRANSFORMS[wanted].inputs(taken) if wanted else taken
    inner = _draw_inner(draw, inputs, wanted, plan)
    if wanted and not _transforms(inner, taken, wanted):
        # What was drawn stands as it is, where it is for the types that the transform was given.
        if needed in _BY_FEATURE or inner.inputs != taken:
            return None
        wanted = ""
    return Node("nested", args, (("transform", wanted),) if wanted else (), inner)


# These hand one value on, or take it apart.
_SINGLE = ("scan", "scan_time", "remat_scan")


def _draw_transform(draw: Draw, needed: str | None, plan: Plan) -> str:
    allowed = [name for name, part in TRANSFORMS.items() if part.feature not in plan.without]
    if needed in _BY_FEATURE:
        return _BY_FEATURE[needed]
    return draw.one_of(("", *allowed)) if allowed else ""


def _fitting_numbers(
    types: Sequence[ValueType], numbers: Sequence[int], wanted: str
) -> Sequence[int]:
    if wanted not in _SINGLE:
        return numbers
    least = 2 if wanted == "scan_time" else 1
    return [n for n in numbers if is_float(types[n]) and len(types[n].shape) >= least]


def _transforms(inner: ModuleSpec, taken: tuple[ValueType, ...], name: str) -> bool:
    values = value_types(inner)
    results = tuple(values[number] for number in inner.outputs)
    made = TRANSFORMS[name].results(taken, results)
    small = all(len(value.shape) <= 4 and prod(value.shape) <= MAX_VALUE for value in made)
    return small and fits_transform(inner, results, name)


def _draw_inner(draw: Draw, inputs: tuple[ValueType, ...], wanted: str, plan: Plan) -> ModuleSpec:
    within = plan.inner(setup=draw_style(draw, plan, needed=False))
    if wanted:
        within = replace(within, without=within.without | TRANSFORMS[wanted].without)
    nodes, types = draw_nodes(draw, inputs, within)
    outputs: tuple[int, ...] = tuple(loose_ends(len(types), nodes))
    if wanted in ("scan", "remat_scan"):
        nodes, outputs = _closed(nodes, types, inputs[0])
    elif wanted == "scan_time":
        outputs = outputs[-1:]
    single = len(outputs) == 1
    structure = "array" if single and (wanted or draw.one_of((True, False))) else "tuple"
    style = "setup" if within.setup else "compact"
    inner = ModuleSpec(inputs, nodes, outputs, structure, style=style)
    return draw_flag(draw, inner, frozenset(), within.without)


def _closed(
    nodes: tuple[Node, ...], types: Sequence[ValueType], wanted: ValueType
) -> tuple[tuple[Node, ...], tuple[int, ...]]:
    # The last result of the type of the input, or else the input through an activation.
    fitting = [number for number in range(1, len(types)) if types[number] == wanted]
    if fitting or not (is_float(wanted) and wanted.shape):
        return nodes, tuple(fitting[-1:]) or (0,)
    return (Node("activation", (0,), (("function", "tanh"),)),), (1,)


# The training argument.


def draw_flag(
    draw: Draw,
    spec: ModuleSpec,
    needed: frozenset[str],
    without: frozenset[str],
    hoped: frozenset[str] = frozenset(),
) -> ModuleSpec:
    """Draws the training argument of a spec that has none yet.

    Args:
        draw: What to draw with.
        spec: A spec with all its nodes.
        needed: Features that the argument must show; others in it are ignored.
        without: Features that it must not show.
        hoped: Features that it shows if it can.

    Returns:
        The spec with an argument if it needs one, and sometimes if it does not.
    """
    rare = ("flag" not in without) and draw.one_of((False, False, False, True))
    kinds = frozenset(name for name in needed if name.startswith("flag"))
    hopes = {name for name in hoped - without if name.startswith("flag")}
    if not (spec_traits(spec).uses_flag or kinds or hopes or rare):
        return spec
    fitting = fitting_flags(kinds, without)
    if not fitting:
        reject()
    hopeful = [flag for flag in fitting if hopes <= _flag_features(flag)]
    return replace(spec, flag=draw.one_of(hopeful or fitting))


@lru_cache(maxsize=1024)
def fitting_flags(needed: frozenset[str], without: frozenset[str]) -> tuple[Flag, ...]:
    """Returns the training arguments that show some features, and none of others.

    Args:
        needed: Features that the argument must show; others than those of a flag are ignored.
        without: Features that it must not show.

    Returns:
        The arguments, the simplest first; none where what is asked for excludes itself.
    """
    kinds = {name for name in needed if name.startswith("flag")}
    shown = {flag: _flag_features(flag) for flag in FLAGS}
    return tuple(flag for flag in FLAGS if kinds <= shown[flag] and not shown[flag] & without)


def _flag_features(flag: Flag) -> frozenset[str]:
    return spec_traits(ModuleSpec((), (), (), "array", flag)).features
