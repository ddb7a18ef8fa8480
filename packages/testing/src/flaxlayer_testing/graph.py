"""What a spec says: the types of its values, its traits, and whether it is one at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, reduce
from operator import or_

from flaxlayer_testing.errors import ReadSpecError
from flaxlayer_testing.operations import OPERATIONS, Traits
from flaxlayer_testing.operations.base import with_features
from flaxlayer_testing.specs import FLAG_NAMES, ModuleSpec, Node, ValueType

__all__ = ["FEATURES", "output_types", "spec_traits", "value_types"]

FEATURES: Mapping[str, str] = {
    "activation": "an activation function",
    "always_noise": "a custom rng stream that both modes draw from",
    "attention": "multi-head attention",
    "attention_dropout": "dropout inside attention",
    "batch_norm": "BatchNorm",
    "cast": "a change of dtype between layers",
    "concat": "values joined along their features",
    "conv": "a convolution over one or two dimensions",
    "count_calls": "a counter that both modes change",
    "count_steps": "a counter that training changes",
    "custom_state": "a collection of the module's own",
    "custom_stream": "an rng stream of the module's own",
    "dense": "Dense",
    "dense_general": "DenseGeneral",
    "dict_output": "outputs in a dict",
    "dropout": "Dropout",
    "dropout_stream": "Dropout with a stream of its own name",
    "embed": "Embed",
    "flag": "a training argument",
    "flag_default": "a training argument with a default",
    "flag_keyword_only": "a training argument that is keyword-only",
    "flag_negated": "a training argument whose name means inference",
    "flatten": "a reshape to one dimension",
    "group_norm": "GroupNorm",
    "guarded_average": "state that changes whenever its collection is mutable",
    "half_input": "an input in half precision",
    "layer_norm": "LayerNorm",
    "mean": "a mean over a dimension",
    "merge": "two values of one type joined by a sum, product or maximum",
    "moving_average": "a moving average that training changes",
    "nested": "a generated module inside another",
    "one_hot": "one-hot encoding",
    "param_dtype": "parameters in half precision",
    "pool": "average or maximum pooling",
    "prelu": "PReLU",
    "recurrent": "a recurrent cell under RNN",
    "rms_norm": "RMSNorm",
    "several_inputs": "more than one input",
    "several_outputs": "more than one output",
    "sow": "sown values",
    "sow_in_training": "losses that are sown in training only",
    "sow_loss": "a sown loss",
    "sow_value": "a sown intermediate",
    "split": "an operation with two results",
    "state_stream_flag": "state, an rng stream and a training argument in one module",
    "swap_axes": "two dimensions exchanged",
    "tied": "one layer used twice",
    "tied_embed": "an embedding table used for input and output",
    "token_input": "an input of token ids",
    "training_noise": "a custom rng stream that training draws from",
    "tuple_output": "outputs in a tuple",
}
"""Every feature that a spec can show, with what it is."""

MAX_SIZE = 64
MAX_NODES = 64
MAX_DEPTH = 4
INPUT_DTYPES = ("float32", "bfloat16", "float16", "int32")


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
    >>> from flaxlayer_testing.specs import ModuleSpec, Node, ValueType
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
    types = list(spec.inputs)
    for node in spec.nodes:
        types += _results(spec, node, types, depth)
    _check_outputs(spec, len(types))
    return tuple(types)


def _require(condition: bool, subject: str, expected: str, found: object) -> None:
    if not condition:
        raise ReadSpecError(
            f"A spec has {subject} that the harness cannot build.",
            expected=expected,
            found=repr(found),
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


def _check_numbers(numbers: Sequence[int], count: int) -> None:
    known = all(type(number) is int and 0 <= number < count for number in numbers)
    _require(known, "references", f"numbers of {count} values that exist", tuple(numbers))


def _check_outputs(spec: ModuleSpec, count: int) -> None:
    _check_numbers(spec.outputs, count)
    counts = {"array": (1, 1), "tuple": (1, count), "dict": (1, count)}
    _require(spec.structure in counts, "a structure", str(tuple(counts)), spec.structure)
    low, high = counts[spec.structure]
    fits = low <= len(spec.outputs) <= high
    _require(fits, "outputs", f"{low} to {high} for {spec.structure!r}", spec.outputs)


def _results(
    spec: ModuleSpec, node: Node, types: Sequence[ValueType], depth: int
) -> tuple[ValueType, ...]:
    _check_numbers(node.args, len(types))
    args = [types[number] for number in node.args]
    if node.op == "nested":
        return _nested_results(spec, node, args, depth)
    _check_node(spec, node, args)
    return OPERATIONS[node.op].results(args, dict(node.options))


def _nested_results(
    spec: ModuleSpec, node: Node, args: Sequence[ValueType], depth: int
) -> tuple[ValueType, ...]:
    inner = node.inner
    _require(inner is not None and not node.options, "a nested node", "one inner spec", node)
    assert inner is not None
    _require(tuple(args) == inner.inputs, "a nested node", f"arguments {inner.inputs}", args)
    known = inner.flag is None or spec.flag is not None
    _require(known, "no training argument", "one, as a nested module needs it", spec.flag)
    _require(inner.structure != "dict", "a nested node", "an array or a tuple", inner.structure)
    types = _typed(inner, depth=depth + 1)
    return tuple(types[number] for number in inner.outputs)


def _check_node(spec: ModuleSpec, node: Node, args: Sequence[ValueType]) -> None:
    _require(node.op in OPERATIONS and node.inner is None, "a node", str(set(OPERATIONS)), node)
    operation = OPERATIONS[node.op]
    _require(len(args) == operation.arity, "a node", f"{operation.arity} arguments", node)
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


def _node_traits(node: Node) -> Traits:
    if node.inner is not None:
        inner = spec_traits(node.inner)
        return with_features(inner, "nested") | Traits(uses_flag=node.inner.flag is not None)
    return OPERATIONS[node.op].traits(dict(node.options))


@lru_cache(maxsize=1024)
def spec_traits(spec: ModuleSpec) -> Traits:
    """Returns the traits of a module: its features, roles of collections, streams by mode.

    This is what discovery must find (C2, R1), derived from the spec alone.

    Args:
        spec: A valid spec.

    Returns:
        The traits of its nodes together, with the features of its signature.
    """
    traits = reduce(or_, map(_node_traits, spec.nodes), Traits())
    if traits.state and traits.training_streams and traits.uses_flag:
        traits = with_features(traits, "state_stream_flag")
    return with_features(traits, *_signature_features(spec))


def _signature_features(spec: ModuleSpec) -> set[str]:
    dtypes = {value.dtype for value in spec.inputs}
    flag = spec.flag
    shown = {
        "several_inputs": len(spec.inputs) > 1,
        "several_outputs": len(spec.outputs) > 1,
        "tuple_output": spec.structure == "tuple",
        "dict_output": spec.structure == "dict",
        "token_input": "int32" in dtypes,
        "half_input": bool(dtypes & {"bfloat16", "float16"}),
        "flag": flag is not None,
        "flag_keyword_only": flag is not None and flag.keyword_only,
        "flag_default": flag is not None and flag.default is not None,
        "flag_negated": flag is not None and not FLAG_NAMES[flag.name],
    }
    return {name for name, present in shown.items() if present}
