"""Which operations apply to which values, with which options, in which order they are tried."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from flaxlayer_testing.spec.operations import OPERATIONS, Operation, Traits
from flaxlayer_testing.spec.spec import Json, Node, ValueType
from flaxlayer_testing.spec.typing import is_layer

__all__ = [
    "MAX_VALUE",
    "NAMES",
    "Assignment",
    "Plan",
    "applies",
    "assignments",
    "candidates",
    "loose_ends",
    "ordered",
    "repeatable",
]

Assignment = tuple[tuple[str, Json], ...]

MAX_VALUE = 96
MAX_INNER_NODES = 3
MAX_DEPTH = 2

# Nested modules and repeated layers are not of the registry: they depend on the graph.
_WEIGHTS = {name: op.weight for name, op in OPERATIONS.items()} | {"again": 5, "nested": 8}
NAMES = tuple(name for name, weight in _WEIGHTS.items() for _ in range(weight))
"""Every operation, as often as it is to be drawn."""


@dataclass(frozen=True)
class Plan:
    """What a graph may be.

    Attributes:
        max_nodes: The most nodes that are drawn freely.
        needed: Features for each of which a node is added.
        without: Features that no node may show.
        depth: How many modules it stands in.
        setup: Whether submodules are made in `setup`, where not every operation can stand.
        stand_ins: Types that may stand in place of the one input, for the first operation.
    """

    max_nodes: int
    needed: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()
    depth: int = 0
    setup: bool = False
    stand_ins: tuple[ValueType, ...] = ()

    @property
    def nests(self) -> bool:
        """Whether a nested module may be drawn."""
        return self.depth < MAX_DEPTH and "nested" not in self.without

    def inner(self, *, setup: bool) -> Plan:
        """Returns the plan of a nested module."""
        nodes = max(1, min(self.max_nodes, MAX_INNER_NODES))
        return Plan(nodes, (), self.without, self.depth + 1, setup)


@lru_cache(maxsize=2**16)
def assignments(
    name: str,
    types: tuple[ValueType, ...],
    needed: str | None,
    without: frozenset[str],
    setup: bool = False,
) -> tuple[Assignment, ...]:
    """Returns the options that an operation may have.

    Args:
        name: Name of an operation.
        types: Types of its arguments.
        needed: A feature that it must show.
        without: Features that it may not show.
        setup: Whether it stands in a module that makes its submodules in `setup`.

    Returns:
        All options, the simplest first; none where it does not apply.
    """
    return tuple(
        assignment
        for assignment, traits in _small(name, types, setup)
        if (needed is None or needed in traits.features)
        and not traits.features & without
        and not (traits.uses_flag and "flag" in without)
    )


@lru_cache(maxsize=2**14)
def _small(
    name: str, types: tuple[ValueType, ...], setup: bool
) -> tuple[tuple[Assignment, Traits], ...]:
    """Returns the options that give small results, with what the operation shows then."""
    operation = OPERATIONS[name]
    choices = None if setup and operation.compact else operation.choices(types)
    if choices is None:
        return ()
    keys = sorted(choices)
    drawn = itertools.product(*(choices[key] for key in keys))
    assigned = (tuple(zip(keys, values, strict=True)) for values in drawn)
    return tuple(
        (assignment, operation.traits(dict(assignment)))
        for assignment in assigned
        if all(prod(value.shape) <= MAX_VALUE for value in _results(operation, types, assignment))
    )


def _results(
    operation: Operation, types: tuple[ValueType, ...], assignment: Assignment
) -> tuple[ValueType, ...]:
    return operation.results(types, dict(assignment))


def applies(
    feature: str, types: Iterable[ValueType], without: frozenset[str], *, setup: bool = False
) -> tuple[ValueType, ...]:
    """Returns the first of these types that an operation takes to show a feature.

    Args:
        feature: A feature of operations.
        types: Types of values.
        without: Features that it may not show.
        setup: As for `assignments`.

    Returns:
        The types of the arguments; none where no operation applies.
    """
    values = tuple(types)
    for name, operation in OPERATIONS.items():
        for args in itertools.product(values, repeat=operation.arity):
            if assignments(name, args, feature, without, setup):
                return args
    return ()


def _orders(numbers: Sequence[int], arity: int) -> Iterator[tuple[int, ...]]:
    if arity == 1:
        yield from ((number,) for number in numbers)
    else:
        yield from itertools.permutations(numbers, arity)
        yield from ((number,) * arity for number in numbers)


def _used(nodes: Sequence[Node]) -> set[int]:
    return {number for node in nodes for number in node.args}


def loose_ends(count: int, nodes: Sequence[Node]) -> list[int]:
    """Returns the numbers of the values that no node takes, in order."""
    used = _used(nodes)
    return [number for number in range(count) if number not in used]


def ordered(types: Sequence[ValueType], nodes: Sequence[Node]) -> list[int]:
    """Returns the numbers of values: loose ends first, the newest of them foremost.

    So graphs are deep, and shrink to a chain.

    Args:
        types: Types of the values.
        nodes: The nodes so far.

    Returns:
        Every number once.
    """
    used = _used(nodes)
    return sorted(range(len(types)), key=lambda number: (number in used, -number))


def candidates(
    types: Sequence[ValueType], nodes: Sequence[Node], needed: str | None, plan: Plan
) -> dict[str, list[tuple[int, ...]]]:
    """Returns the arguments that each operation of the registry may have.

    Args:
        types: Types of the values so far.
        nodes: The nodes so far.
        needed: A feature that the node must show.
        plan: What the graph may be.

    Returns:
        Numbers of arguments by the name of the operation, where there are any.
    """
    numbers = ordered(types, nodes)
    found: dict[str, list[tuple[int, ...]]] = {}
    for arity in (1, 2):
        for args in _orders(numbers, arity):
            kinds = tuple(types[number] for number in args)
            for name in _fitting(kinds, needed, plan.without, plan.setup):
                found.setdefault(name, []).append(args)
    return found


@lru_cache(maxsize=2**14)
def _fitting(
    kinds: tuple[ValueType, ...], needed: str | None, without: frozenset[str], setup: bool
) -> tuple[str, ...]:
    return tuple(
        name
        for name, operation in OPERATIONS.items()
        if operation.arity == len(kinds) and assignments(name, kinds, needed, without, setup)
    )


def repeatable(
    types: Sequence[ValueType], nodes: Sequence[Node]
) -> list[tuple[int, tuple[int, ...]]]:
    """Returns the positions of nodes whose layers can be called again, with arguments for each."""
    numbers, found = ordered(types, nodes), []
    for position, node in enumerate(nodes):
        if is_layer(node):
            kinds = [types[number] for number in node.args]
            places = [[n for n in numbers if types[n] == kind] for kind in kinds]
            found.append((position, tuple(place[0] for place in places)))
    return found
