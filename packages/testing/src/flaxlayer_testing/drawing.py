"""Draws graphs: which operations apply to which values, and in which order they are tried (T1)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import prod

from hypothesis import reject

from flaxlayer_testing.drawer import Draw
from flaxlayer_testing.graph import spec_traits, value_types
from flaxlayer_testing.operations import OPERATIONS
from flaxlayer_testing.specs import FLAG_NAMES, Flag, Json, ModuleSpec, Node, ValueType

__all__ = ["FLAGS", "Plan", "applies", "draw_flag", "draw_nodes", "loose_ends"]

Assignment = tuple[tuple[str, Json], ...]

MAX_VALUE = 96
MAX_INNER_NODES = 3
MAX_DEPTH = 2

FLAGS = tuple(
    Flag(*kind) for kind in itertools.product(FLAG_NAMES, (False, True), (None, False, True))
)
"""Every training argument, the simplest first."""

NAMES = (*(name for name, op in OPERATIONS.items() for _ in range(op.weight)), "nested")
"""Every operation, as often as it is to be drawn."""

# Four nodes on average, if six are allowed.
CONTINUE = (False, True, True, True, True, True)


@dataclass(frozen=True)
class Plan:
    """What a graph may be.

    Attributes:
        max_nodes: The most nodes that are drawn freely.
        needed: Features for each of which a node is added.
        without: Features that no node may show.
        depth: How many modules it stands in.
    """

    max_nodes: int
    needed: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()
    depth: int = 0

    @property
    def nests(self) -> bool:
        """Whether a nested module may be drawn."""
        return self.depth < MAX_DEPTH and "nested" not in self.without

    def inner(self) -> Plan:
        """Returns the plan of a nested module."""
        nodes = max(1, min(self.max_nodes, MAX_INNER_NODES))
        return Plan(nodes, (), self.without, self.depth + 1)


@lru_cache(maxsize=4096)
def _assignments(
    name: str, types: tuple[ValueType, ...], needed: str | None, without: frozenset[str]
) -> tuple[Assignment, ...]:
    operation = OPERATIONS[name]
    choices = operation.choices(types)
    if choices is None:
        return ()
    keys = sorted(choices)
    drawn = itertools.product(*(choices[key] for key in keys))
    options = (tuple(zip(keys, values, strict=True)) for values in drawn)
    return tuple(
        assignment for assignment in options if _allowed(name, types, assignment, needed, without)
    )


def _allowed(
    name: str,
    types: tuple[ValueType, ...],
    assignment: Assignment,
    needed: str | None,
    without: frozenset[str],
) -> bool:
    operation, options = OPERATIONS[name], dict(assignment)
    traits = operation.traits(options)
    if traits.uses_flag and "flag" in without:
        return False
    small = all(prod(value.shape) <= MAX_VALUE for value in operation.results(types, options))
    shown = needed is None or needed in traits.features
    return small and shown and not traits.features & without


def applies(feature: str, value: ValueType, without: frozenset[str]) -> bool:
    """Tells whether a feature can be shown by one operation on values of this type."""
    return any(
        _assignments(name, (value,) * operation.arity, feature, without)
        for name, operation in OPERATIONS.items()
    )


def _orders(numbers: Sequence[int], arity: int) -> Iterator[tuple[int, ...]]:
    if arity == 1:
        yield from ((number,) for number in numbers)
    else:
        yield from itertools.combinations(numbers, arity)
        yield from ((number,) * arity for number in numbers)


def _used(nodes: Sequence[Node]) -> set[int]:
    return {number for node in nodes for number in node.args}


def loose_ends(count: int, nodes: Sequence[Node]) -> list[int]:
    """Returns the numbers of the values that no node takes, in order."""
    used = _used(nodes)
    return [number for number in range(count) if number not in used]


def _numbers(types: Sequence[ValueType], nodes: Sequence[Node]) -> list[int]:
    # Loose ends first, the newest of them foremost: graphs are deep, and shrink to a chain.
    used = _used(nodes)
    return sorted(range(len(types)), key=lambda number: (number in used, -number))


def _candidates(
    types: Sequence[ValueType], nodes: Sequence[Node], needed: str | None, plan: Plan
) -> dict[str, list[tuple[int, ...]]]:
    numbers = _numbers(types, nodes)

    def fits(name: str, args: tuple[int, ...]) -> bool:
        return bool(_assignments(name, tuple(types[n] for n in args), needed, plan.without))

    found = {
        name: [args for args in _orders(numbers, operation.arity) if fits(name, args)]
        for name, operation in OPERATIONS.items()
    }
    if plan.nests and needed in (None, "nested"):
        found["nested"] = list(_orders(numbers, 1))
    return {name: args for name, args in found.items() if args}


def _draw_node(
    draw: Draw,
    types: Sequence[ValueType],
    nodes: Sequence[Node],
    needed: str | None,
    plan: Plan,
) -> Node | None:
    candidates = _candidates(types, nodes, needed, plan)
    if not candidates:
        return None
    # From all operations, whatever applies, so that a choice means the same after others are gone.
    name = draw.one_of(NAMES, allowed=candidates)
    if name == "nested":
        return _draw_nested(draw, types, _numbers(types, nodes), plan)
    args = draw.mostly_first(candidates[name])
    arg_types = tuple(types[number] for number in args)
    return Node(name, args, draw.one_of(_assignments(name, arg_types, needed, plan.without)))


def _draw_nested(
    draw: Draw, types: Sequence[ValueType], numbers: Sequence[int], plan: Plan
) -> Node:
    count = min(draw.one_of((1, 2)), len(numbers))
    args = tuple(numbers[:count])
    inputs = tuple(types[number] for number in args)
    nodes, inner_types = draw_nodes(draw, inputs, plan.inner())
    outputs = tuple(loose_ends(len(inner_types), nodes))
    single = len(outputs) == 1
    structure = draw.one_of(("array", "tuple")) if single else "tuple"
    inner = ModuleSpec(inputs, nodes, outputs, structure)
    return Node("nested", args, (), draw_flag(draw, inner, frozenset(), plan.without))


def draw_nodes(
    draw: Draw, inputs: tuple[ValueType, ...], plan: Plan
) -> tuple[tuple[Node, ...], list[ValueType]]:
    """Draws the nodes of a graph.

    Args:
        draw: What to draw with.
        inputs: Types of the inputs.
        plan: What the graph may be.

    Returns:
        The nodes, and the types of all values.
    """
    nodes: tuple[Node, ...] = ()
    types = list(inputs)
    more = not plan.needed or draw.one_of(CONTINUE)
    steps = [None] * plan.max_nodes
    for needed in (*steps, *plan.needed):
        if not (more or needed):
            continue
        step = partial(_draw_step, types=types, nodes=nodes, needed=needed, plan=plan)
        node, more = draw.span(step)
        if node is not None:
            nodes = (*nodes, node)
            types = list(value_types(_open_graph(inputs, nodes)))
    return nodes, types


def _draw_step(
    draw: Draw,
    types: Sequence[ValueType],
    nodes: Sequence[Node],
    needed: str | None,
    plan: Plan,
) -> tuple[Node | None, bool]:
    # Whether another follows stands behind each node, so that every node but one can be deleted.
    return _draw_node(draw, types, nodes, needed, plan), draw.one_of(CONTINUE)


def _open_graph(inputs: tuple[ValueType, ...], nodes: tuple[Node, ...]) -> ModuleSpec:
    # Typed before its own flag is drawn: with one, no operation is refused.
    return ModuleSpec(inputs, nodes, (0,), "array", FLAGS[0])


def draw_flag(
    draw: Draw, spec: ModuleSpec, needed: frozenset[str], without: frozenset[str]
) -> ModuleSpec:
    """Draws the training argument of a spec that has none yet.

    Args:
        draw: What to draw with.
        spec: A spec with all its nodes.
        needed: Features that the argument must show; others in it are ignored.
        without: Features that it must not show.

    Returns:
        The spec with an argument if it needs one, and sometimes if it does not.
    """
    rare = ("flag" not in without) and draw.one_of((False, False, False, True))
    if not (spec_traits(spec).uses_flag or any(f.startswith("flag") for f in needed) or rare):
        return spec
    kinds = {name for name in needed if name.startswith("flag")}
    shown = {flag: spec_traits(ModuleSpec((), (), (), "array", flag)).features for flag in FLAGS}
    fitting = [flag for flag in FLAGS if kinds <= shown[flag] and not shown[flag] & without]
    if not fitting:
        reject()
    flag = draw.one_of(fitting)
    return ModuleSpec(spec.inputs, spec.nodes, spec.outputs, spec.structure, flag)
