"""What a spec says: the types of its values, its traits, and whether it is one at all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from flaxlayer_testing.errors import ReadSpecError
from flaxlayer_testing.spec.extras import EXTRA_KINDS
from flaxlayer_testing.spec.features import FEATURES
from flaxlayer_testing.spec.operations import OPERATIONS
from flaxlayer_testing.spec.operations.masks import fits_mask
from flaxlayer_testing.spec.operations.operation import is_float
from flaxlayer_testing.spec.spec import (
    ARGUMENTS,
    FLAG_NAMES,
    STRUCTURES,
    STYLES,
    TOLD,
    ModuleSpec,
    Node,
    ValueType,
)
from flaxlayer_testing.spec.traits import spec_traits
from flaxlayer_testing.spec.transforms import TRANSFORMS

__all__ = [
    "FEATURES",
    "extended_output",
    "fits_transform",
    "is_layer",
    "masked_input",
    "output_types",
    "spec_traits",
    "value_types",
]

MAX_SIZE = 64
MAX_NODES = 64
MAX_DEPTH = 4
INPUT_DTYPES = ("float32", "bfloat16", "float16", "int32", "bool")


def value_types(spec: ModuleSpec) -> tuple[ValueType, ...]:
    """Types every value of a spec, and checks the spec while doing so.

    Args:
        spec: A spec, from a strategy or from a file.

    Returns:
        The types of the inputs and of the results of each node, in the order of their numbers.

    Raises:
        ReadSpecError: If the spec refers to an operation, value, option or dtype that does not
            exist, or if it is larger than any that the strategies draw.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import ModuleSpec, Node, ValueType
    >>> node = Node("activation", (0,), (("function", "relu"),))
    >>> value_types(ModuleSpec((ValueType((3,)),), (node,), (1,)))
    (ValueType(shape=(3,), dtype='float32'), ValueType(shape=(3,), dtype='float32'))

    ```
    """
    # True == 1 and 2 == 2.0, so a spec alone is no key: a wrong one may equal a right one.
    return _value_types(spec, repr(spec))


@lru_cache(maxsize=4096)
def _value_types(spec: ModuleSpec, _text: str) -> tuple[ValueType, ...]:
    return _typed(spec, depth=0)


def _typed(spec: ModuleSpec, *, depth: int) -> tuple[ValueType, ...]:
    _require(depth <= MAX_DEPTH, "nested modules", f"at most {MAX_DEPTH} levels", depth)
    _require(len(spec.nodes) <= MAX_NODES, "nodes", f"at most {MAX_NODES}", len(spec.nodes))
    _require(len(spec.inputs) in range(1, 9), "inputs", "one to eight", len(spec.inputs))
    for value in spec.inputs:
        _check_input(value)
    _check_flag(spec)
    _check_signature(spec, depth)
    types = list(spec.inputs)
    for position, node in enumerate(spec.nodes):
        types += _results(spec, position, node, types, depth)
    _check_outputs(spec, len(types))
    _check_extras(spec, types, depth)
    return tuple(types)


def _require(condition: bool, subject: str, expected: str, found: object) -> None:
    if not condition:
        raise ReadSpecError(
            f"A spec has {subject} that the harness cannot build.",
            expected=expected,
            found=repr(found)[:300],
            fix="Draw specs with `flaxlayer_testing.modules()`, or correct the file.",
            law="T1",
        )


def _check_input(value: ValueType) -> None:
    sizes = all(type(size) is int and 0 < size <= MAX_SIZE for size in value.shape)
    _require(sizes and len(value.shape) <= 4, "an input shape", "small sizes", value.shape)
    _require(value.dtype in INPUT_DTYPES, "an input dtype", str(INPUT_DTYPES), value.dtype)


def _check_flag(spec: ModuleSpec) -> None:
    if spec.flag is not None:
        names = tuple(FLAG_NAMES)
        _require(spec.flag.name in names, "a training argument", str(names), spec.flag.name)


def masked_input(spec: ModuleSpec) -> int | None:
    """Returns the number of the first input that the argument `mask` is of, if there is one."""
    mask = spec.inputs[-1]
    fitting = (n for n, value in enumerate(spec.inputs) if fits_mask(value, mask))
    return next(fitting, None)


def _check_signature(spec: ModuleSpec, depth: int) -> None:
    known = spec.arguments in ARGUMENTS and (depth == 0 or spec.arguments == "positional")
    _require(known, "a form of arguments", str(ARGUMENTS), spec.arguments)
    _require(spec.style in STYLES, "a style", str(STYLES), spec.style)
    fits = not spec.mask or (depth == 0 and masked_input(spec) is not None)
    _require(fits, "a mask", "a boolean last input of the length of a sequence", spec.inputs)
    most = len(spec.nodes) if spec.style == "setup" else 0
    within = type(spec.encoder) is int and 0 <= spec.encoder <= most
    _require(within, "an encoder", f"zero to {most} nodes", spec.encoder)


def _check_numbers(numbers: Sequence[int], count: int) -> None:
    known = all(type(number) is int and 0 <= number < count for number in numbers)
    _require(known, "references", f"numbers of {count} values that exist", tuple(numbers))


def _check_outputs(spec: ModuleSpec, count: int) -> None:
    _check_numbers(spec.outputs, count)
    known = (*STRUCTURES, TOLD)
    _require(spec.structure in known, "a structure", str(known), spec.structure)
    high = 1 if spec.structure == "array" else count
    fits = 1 <= len(spec.outputs) <= high
    _require(fits, "outputs", f"1 to {high} for {spec.structure!r}", spec.outputs)


def _first_float(spec: ModuleSpec, types: Sequence[ValueType]) -> int | None:
    return next((number for number in spec.outputs if is_float(types[number])), None)


def extended_output(spec: ModuleSpec) -> int | None:
    """Returns the number of the output that extra parameters change, if there is one."""
    return _first_float(spec, value_types(spec))


def _check_extras(spec: ModuleSpec, types: Sequence[ValueType], depth: int) -> None:
    names = [extra.name for extra in spec.extras]
    known = len(set(names)) == len(names) and set(names) <= set(EXTRA_KINDS)
    _require(known, "extra parameters", f"some of {tuple(EXTRA_KINDS)}, each once", names)
    fits = not names or (depth == 0 and _first_float(spec, types) is not None)
    _require(fits, "extra parameters", "a floating output, and no module around it", names)


def _results(
    spec: ModuleSpec, position: int, node: Node, types: Sequence[ValueType], depth: int
) -> tuple[ValueType, ...]:
    _check_numbers(node.args, len(types))
    args = tuple(types[number] for number in node.args)
    if node.op == "nested":
        return _nested_results(spec, node, args, depth)
    if node.op == "again":
        return _results(spec, position, _repeated(spec, position, node, types), types, depth)
    _check_node(spec, node, args)
    return OPERATIONS[node.op].results(args, dict(node.options))


def _repeated(spec: ModuleSpec, position: int, node: Node, types: Sequence[ValueType]) -> Node:
    # The node that it calls again, as if that had these arguments.
    options = dict(node.options)
    earlier = options.get("node")
    valid = set(options) == {"node"} and type(earlier) is int and 0 <= earlier < position
    _require(valid, "a repeated node", "the position of an earlier node", options)
    assert isinstance(earlier, int)
    first = spec.nodes[earlier]
    _require(is_layer(first), "a repeated node", "one that is a layer", first)
    taken = [[types[number] for number in part.args] for part in (first, node)]
    _require(taken[0] == taken[1], "a repeated node", f"arguments {taken[0]}", taken[1])
    return Node(first.op, node.args, first.options, first.inner)


def is_layer(node: Node) -> bool:
    """Tells whether a node has a layer that can be called again."""
    if node.inner is not None:
        # A cache that one call made is for the steps of the next.
        return not node.options and "decode_cache" not in spec_traits(node.inner).features
    return node.op in OPERATIONS and OPERATIONS[node.op].is_layer


def _nested_results(
    spec: ModuleSpec, node: Node, args: tuple[ValueType, ...], depth: int
) -> tuple[ValueType, ...]:
    inner, options = node.inner, dict(node.options)
    _require(inner is not None, "a nested node", "one inner spec", node)
    assert inner is not None
    name = options.get("transform")
    known = set(options) <= {"transform"} and (not options or name in TRANSFORMS)
    _require(known, "a nested node", f"no options but a transform of {set(TRANSFORMS)}", options)
    transform = TRANSFORMS[str(name)] if options else None
    taken = transform.inputs(args) if transform else args
    _require(taken == inner.inputs, "a nested node", f"arguments {inner.inputs}", taken)
    known = inner.flag is None or spec.flag is not None
    _require(known, "no training argument", "one, as a nested module needs it", spec.flag)
    _require(inner.structure in ("array", "tuple"), "a nested node", "arrays", inner.structure)
    types = _typed(inner, depth=depth + 1)
    results = tuple(types[number] for number in inner.outputs)
    if transform is None:
        return results
    _require(fits_transform(inner, results, str(name)), "a nested node", f"one for {name}", inner)
    return transform.results(args, results)


def fits_transform(inner: ModuleSpec, results: Sequence[ValueType], name: str) -> bool:
    """Tells whether a transform applies to a module that makes these results."""
    transform, traits = TRANSFORMS[name], spec_traits(inner)
    return not traits.features & transform.without and transform.fits(inner, results, traits)


def _check_node(spec: ModuleSpec, node: Node, args: Sequence[ValueType]) -> None:
    _require(node.op in OPERATIONS and node.inner is None, "a node", str(set(OPERATIONS)), node)
    operation = OPERATIONS[node.op]
    _require(len(args) == operation.arity, "a node", f"{operation.arity} arguments", node)
    allowed = spec.style == "compact" or not operation.compact
    _require(allowed, "a node", "an operation for the style of the module", node)
    choices = operation.choices(args)
    _require(choices is not None, "a node", f"arguments that {node.op!r} applies to", args)
    options = dict(node.options)
    same = choices is not None and set(options) == set(choices)
    # By text, because True == 1 and 2 == 2.0, and because text is what becomes of an option.
    valid = same and all(repr(options[key]) in map(repr, (choices or {})[key]) for key in options)
    _require(bool(valid), "a node", f"options {choices}", options)
    flagged = spec.flag is not None or not operation.traits(options).uses_flag
    _require(flagged, "no training argument", f"one, as {node.op!r} needs it", None)


def output_types(spec: ModuleSpec) -> tuple[ValueType, ...]:
    """Returns the types of the outputs, in order."""
    types = value_types(spec)
    return tuple(types[number] for number in spec.outputs)
