"""Dimensions of a module's inputs that none of its variables depends on (B1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from flaxlayer_testing.errors import ReadSpecError
from flaxlayer_testing.spec.operations import OPERATIONS
from flaxlayer_testing.spec.spec import Case, ModuleSpec, Node, ValueType
from flaxlayer_testing.spec.transforms import TRANSFORMS
from flaxlayer_testing.spec.typing import value_types

__all__ = ["dimensions", "grow", "is_free"]

Pairs = tuple[tuple[int, int], ...]

GROWTHS = (1, 2)
"""What sizes are raised by, to see whether a module still fits: an odd and an even one."""


def dimensions(spec: ModuleSpec) -> tuple[Pairs, ...]:
    """Returns groups of dimensions of a module's inputs that may be of one size.

    Args:
        spec: A valid spec.

    Returns:
        Each dimension as the number of its input and its axis, where 0 is the batch, which is not
        among them. First single dimensions; then, if several inputs have one length, that of all.
    """
    single = [
        ((number, axis),)
        for number, value in enumerate(spec.inputs)
        for axis in range(1, len(value.shape) + 1)
    ]
    lengths = [n for n, value in enumerate(spec.inputs) if value.shape]
    same = {spec.inputs[number].shape[0] for number in lengths}
    joint = [tuple((n, 1) for n in lengths)] if len(lengths) > 1 and len(same) == 1 else []
    return (*single, *joint)


def is_free(spec: ModuleSpec, group: Pairs) -> bool:
    """Tells whether dimensions may be of any size, or unknown, once a module is built.

    Args:
        spec: A valid spec.
        group: Dimensions of one size.

    Returns:
        Whether the module takes them larger, and none of its variables would be another.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import ModuleSpec, Node, ValueType
    >>> node = Node("rms_norm", (0,), (("param_dtype", "float32"),))
    >>> spec = ModuleSpec((ValueType((4, 2)),), (node,), (1,))
    >>> is_free(spec, ((0, 1),)), is_free(spec, ((0, 2),))
    (True, False)

    ```
    """
    return all(_holds(spec, _grown(spec.inputs, group, growth)) for growth in GROWTHS)


def grow(case: Case) -> Case | None:
    """Returns a case with its unknown dimensions larger by one.

    Args:
        case: A case; its module takes the dimensions of any size.

    Returns:
        The other case, None if nothing is unknown.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import ModuleSpec, Node, ValueType
    >>> node = Node("activation", (0,), (("function", "relu"),))
    >>> case = Case(ModuleSpec((ValueType((4, 2)),), (node,), (1,)), unknown=((0, 1),))
    >>> grow(case).spec.inputs[0].shape
    (5, 2)

    ```
    """
    spec = _with_inputs(case.spec, _grown(case.spec.inputs, case.unknown, 1))
    return replace(case, spec=spec) if case.unknown and spec is not None else None


def _grown(inputs: Sequence[ValueType], group: Pairs, growth: int) -> tuple[ValueType, ...]:
    grown = list(inputs)
    for number, axis in group:
        shape = list(grown[number].shape)
        shape[axis - 1] += growth
        grown[number] = ValueType(tuple(shape), grown[number].dtype)
    return tuple(grown)


def _holds(spec: ModuleSpec, inputs: tuple[ValueType, ...]) -> bool:
    other = _with_inputs(spec, inputs)
    if other is None:
        return False
    old, new = value_types(spec), value_types(other)
    return all(_keeps(*pair, old, new) for pair in zip(_made(spec), _made(other), strict=True))


def _made(spec: ModuleSpec) -> Iterable[Node]:
    # A layer that is called again has variables for its first call's arguments.
    for node in spec.nodes:
        earlier = dict(node.options).get("node")
        first = spec.nodes[earlier] if isinstance(earlier, int) else node
        yield Node(first.op, node.args, first.options, first.inner)


def _keeps(before: Node, after: Node, old: Sequence[ValueType], new: Sequence[ValueType]) -> bool:
    if before.inner is not None and after.inner is not None:
        return _holds(before.inner, after.inner.inputs)
    operation, options = OPERATIONS[before.op], dict(before.options)
    fixed, traits = operation.fixed(options), operation.traits(options)
    if fixed < 0:
        return False
    if not (traits.trainable or traits.state):
        return True
    pairs = ((old[number], new[number]) for number in before.args)
    return all(_tail(first, fixed) == _tail(second, fixed) for first, second in pairs)


def _tail(value: ValueType, count: int) -> tuple[int, ...]:
    return value.shape[len(value.shape) - min(count, len(value.shape)) :]


def _with_inputs(spec: ModuleSpec, inputs: tuple[ValueType, ...]) -> ModuleSpec | None:
    """Returns the spec for other inputs, its nested specs with what they get; None if unfit."""
    current = replace(spec, inputs=inputs, nodes=(), outputs=(0,), encoder=0)
    try:
        for node in spec.nodes:
            types = value_types(current)
            inner = _nested_with(node, tuple(types[number] for number in node.args))
            if node.inner is not None and inner is None:
                return None
            grown = Node(node.op, node.args, node.options, inner)
            current = replace(current, nodes=(*current.nodes, grown))
        other = replace(current, outputs=spec.outputs, encoder=spec.encoder)
        value_types(other)
    except ReadSpecError:
        return None
    return other


def _nested_with(node: Node, args: tuple[ValueType, ...]) -> ModuleSpec | None:
    if node.inner is None:
        return None
    name = dict(node.options).get("transform")
    taken = TRANSFORMS[str(name)].inputs(args) if name else args
    return _with_inputs(node.inner, taken)
