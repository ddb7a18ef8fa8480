"""Specs: frozen descriptions of Flax modules as typed dataflow graphs (T1)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from flaxlayer_testing.errors import ReadSpecError, in_short
from flaxlayer_testing.spec.extras import EXTRA_KINDS, Extra, Given
from flaxlayer_testing.stored import parse, whole

__all__ = [
    "ARGUMENTS",
    "FLAG_NAMES",
    "FRAMEWORKS",
    "STRUCTURES",
    "STYLES",
    "TOLD",
    "Case",
    "Flag",
    "Framework",
    "Json",
    "ModuleSpec",
    "Node",
    "Options",
    "ValueType",
]

T = TypeVar("T")

Json = bool | int | float | str | tuple["Json", ...] | None
"""What an option may be: JSON, with tuples for its arrays."""

Options = Mapping[str, Json]

FLAG_NAMES: Mapping[str, bool] = {
    "training": True,
    "train": True,
    "is_training": True,
    "deterministic": False,
    "eval": False,
    "use_running_average": False,
}
"""Names of a training argument; False where the name means its negation (A2)."""

STRUCTURES = ("array", "tuple", "dict", "nested", "dataclass")
"""What a module may return: one array, or pytrees of any number of them (A5)."""

TOLD = "told"
"""A structure that scenarios draw: a dict of a tuple, and of values that are no arrays (A5)."""

ARGUMENTS = ("positional", "dict", "tuple", "dataclass")
"""How a module may take its arrays: one by one, or in one pytree (A1)."""

STYLES = ("compact", "setup")
"""Where a linen module may make its submodules; one of nnx keeps those of `setup` in a list."""

MAX_BATCH = 64
"""The largest batch of a case."""

Framework = Literal["linen", "nnx"]
"""What a module is built in."""

FRAMEWORKS: tuple[str, ...] = get_args(Framework)
"""What a module may be built in."""


@dataclass(frozen=True)
class ValueType:
    """The type of one value in a graph.

    Attributes:
        shape: Its shape without the batch dimension, which comes first in every array.
        dtype: Name of its dtype.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class Flag:
    """The training argument of a method.

    Attributes:
        name: One of `FLAG_NAMES`.
        keyword_only: Whether it can be given by keyword only.
        default: Its default, in the meaning of its own name; None where it is required.
    """

    name: str = "training"
    keyword_only: bool = False
    default: bool | None = None

    def argument(self, training: bool) -> bool:
        """Returns the value to pass for a mode."""
        return training if FLAG_NAMES[self.name] else not training


@dataclass(frozen=True)
class Node:
    """One operation in a graph.

    Attributes:
        op: Name of the operation in the registry.
        args: Numbers of the values that it takes.
        options: Its options, sorted by name. A nested module may have a `"transform"`, one of
            `flaxlayer_testing.spec.transforms.TRANSFORMS`; the operation `"again"` has a
            `"node"`, the position of the node whose layer it calls once more.
        inner: The spec of a nested module, for the operation `"nested"`.
    """

    op: str
    args: tuple[int, ...]
    options: tuple[tuple[str, Json], ...] = ()
    inner: ModuleSpec | None = None


@dataclass(frozen=True)
class ModuleSpec:
    """A Flax module as data: it shrinks, prints, serialises and replays (T1).

    Values are numbered: the inputs first, then the results of each node in turn.

    Attributes:
        inputs: Types of the inputs.
        nodes: Operations in the order in which they run.
        outputs: Numbers of the values that are returned.
        structure: What it returns, one of `STRUCTURES`, or `TOLD`.
        flag: The training argument, if the method has one.
        arguments: How it takes its inputs, one of `ARGUMENTS`. But for `"positional"` they are one
            argument, the pytree `inputs`.
        mask: Whether the last input, which is boolean, is the argument `mask` (A4). It may be
            left out where the signature allows a default; then no element is masked.
        style: Where it makes its submodules, one of `STYLES`.
        encoder: How many of the first nodes stand in a method of their own, `encode`, which takes
            what the module takes (A3); for the style `"setup"` only.
        extras: What it takes beside its inputs and the training argument (A1, R5); each changes
            the first floating output.

    Example:

    ```python
    >>> dense = Node("dense", (0,), (("features", 2),))
    >>> spec = ModuleSpec((ValueType((3,)),), (dense,), (1,))
    >>> ModuleSpec.from_json(spec.to_json()) == spec
    True

    ```
    """

    inputs: tuple[ValueType, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    structure: str = "array"
    flag: Flag | None = None
    arguments: str = "positional"
    mask: bool = False
    style: str = "compact"
    encoder: int = 0
    extras: tuple[Extra, ...] = ()

    def to_json(self) -> str:
        """Returns the spec as JSON, the same text for equal specs."""
        return json.dumps(_encode_spec(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> ModuleSpec:
        """Reads what `to_json` wrote.

        Args:
            text: JSON of a spec.

        Returns:
            A spec equal to the one that was written. Whether its graph makes sense is checked
            where it is built, by `flaxlayer_testing.spec.typing.value_types`.

        Raises:
            ReadSpecError: If the text is not JSON of a spec.
        """
        return _read(text, _decode_spec)


@dataclass(frozen=True)
class Case:
    """A spec with everything that a run of it needs, so that the run can be repeated.

    Attributes:
        spec: The module.
        batch_size: Size of the batch of every input.
        seed: Seed of the inputs and of the module's variables.
        unknown: Dimensions that a symbolic build may leave unknown beside the batch (B1), as pairs
            of the number of an input and of its axis, where 0 would be the batch. No variable of
            the module depends on them; those of several inputs are always of one size.
        framework: What the module is built in, one of `FRAMEWORKS`.
        instance: Whether an nnx module is handed over as an object, not as what makes one.
        given: What a call gives for the extra parameters of the module, by their names; for those
            that are missing the default serves, or a key of the layer.
    """

    spec: ModuleSpec
    batch_size: int = 2
    seed: int = 0
    unknown: tuple[tuple[int, int], ...] = ()
    framework: str = "linen"
    instance: bool = False
    given: tuple[tuple[str, Given], ...] = ()

    def to_json(self) -> str:
        """Returns the case as JSON."""
        data: dict[str, Any] = {"spec": _encode_spec(self.spec), "batch_size": self.batch_size}
        data |= {"seed": self.seed, "unknown": [list(pair) for pair in self.unknown]}
        if self.framework != "linen":
            data |= {"framework": self.framework, "instance": self.instance}
        if self.given:
            data["given"] = dict(self.given)
        return json.dumps(data, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Case:
        """Reads what `to_json` wrote.

        Args:
            text: JSON of a case.

        Returns:
            An equal case.

        Raises:
            ReadSpecError: If the text is not JSON of a case.
        """
        return cls.from_data(_read(text, _itself))

    @classmethod
    def from_data(cls, data: Any) -> Case:
        """Reads what `to_json` wrote, as the values of its JSON.

        Raises:
            ReadSpecError: If they are not those of a case.
        """
        return _decoded(data, _decode_case)


def _itself(data: Any) -> Any:
    return data


def _read(text: str, decode: Callable[[Any], T]) -> T:
    return _decoded(text, lambda text: decode(parse(text)))


def _decoded(data: Any, decode: Callable[[Any], T]) -> T:
    try:
        return decode(data)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ReadSpecError(
            "The text is not the JSON of a spec.",
            expected="what `to_json` writes",
            found=in_short(error),
            fix="Pass the whole text that `to_json` returned.",
            law="T1",
        ) from error


def _encode_spec(spec: ModuleSpec) -> dict[str, Any]:
    flag = spec.flag and [spec.flag.name, spec.flag.keyword_only, spec.flag.default]
    return {
        "inputs": [[list(value.shape), value.dtype] for value in spec.inputs],
        "nodes": [_encode_node(node) for node in spec.nodes],
        "outputs": list(spec.outputs),
        "structure": spec.structure,
        "flag": flag,
        "arguments": spec.arguments,
        "mask": spec.mask,
        "style": spec.style,
        "encoder": spec.encoder,
        "extras": [[extra.name, extra.keyword_only, extra.optional] for extra in spec.extras],
    }


def _encode_node(node: Node) -> dict[str, Any]:
    data: dict[str, Any] = {"op": node.op, "args": list(node.args)}
    data["options"] = dict(node.options)
    if node.inner is not None:
        data["inner"] = _encode_spec(node.inner)
    return data


def _decode_case(data: Any) -> Case:
    batch_size = whole(data["batch_size"], 0, MAX_BATCH)
    seed = whole(data["seed"], 0, 2**32 - 1)
    unknown = tuple(_pair(*pair) for pair in data.get("unknown", ()))
    framework, instance = data.get("framework", "linen"), data.get("instance", False)
    if framework not in FRAMEWORKS or type(instance) is not bool:
        message = f"no framework: {framework!r}, instance={instance!r}"
        raise ValueError(message)
    spec = _decode_spec(data["spec"])
    given = _decode_given(spec, data.get("given", {}))
    return Case(spec, batch_size, seed, unknown, framework, instance, given)


def _decode_given(spec: ModuleSpec, data: Any) -> tuple[tuple[str, Given], ...]:
    extras = {extra.name: extra for extra in spec.extras}
    for name, value in data.items():
        if repr(value) not in map(repr, extras[name].kind.values):
            message = f"no value of {name!r}: {value!r}"
            raise ValueError(message)
    missing = [
        extra.name
        for extra in spec.extras
        if not (extra.optional or extra.kind.stream or extra.name in data)
    ]
    if missing:
        message = f"no values for {missing!r}"
        raise ValueError(message)
    return tuple((name, data[name]) for name in extras if name in data)


def _pair(number: Any, axis: Any) -> tuple[int, int]:
    first, second = _integers([number, axis])
    return first, second


def _decode_spec(data: Any) -> ModuleSpec:
    return ModuleSpec(
        inputs=tuple(ValueType(_integers(shape), str(dtype)) for shape, dtype in data["inputs"]),
        nodes=tuple(_decode_node(node) for node in data["nodes"]),
        outputs=_integers(data["outputs"]),
        structure=str(data["structure"]),
        flag=_decode_flag(*data["flag"]) if data["flag"] else None,
        arguments=str(data.get("arguments", "positional")),
        mask=bool(data.get("mask", False)),
        style=str(data.get("style", "compact")),
        encoder=_integers([data.get("encoder", 0)])[0],
        extras=tuple(_decode_extra(*extra) for extra in data.get("extras", ())),
    )


def _decode_node(data: Any) -> Node:
    options = tuple(sorted((key, _freeze(value)) for key, value in data["options"].items()))
    inner = _decode_spec(data["inner"]) if "inner" in data else None
    return Node(str(data["op"]), _integers(data["args"]), options, inner)


def _decode_flag(name: str, keyword_only: bool, default: bool | None) -> Flag:
    return Flag(str(name), bool(keyword_only), None if default is None else bool(default))


def _decode_extra(name: str, keyword_only: bool, optional: bool) -> Extra:
    if name not in EXTRA_KINDS:
        message = f"no extra parameter: {name!r}"
        raise ValueError(message)
    return Extra(str(name), bool(keyword_only), bool(optional))


def _integers(values: Any) -> tuple[int, ...]:
    if any(type(value) is not int for value in values):
        message = f"not integers: {values!r}"
        raise TypeError(message)
    return tuple(values)


def _freeze(value: Any) -> Json:
    if isinstance(value, list):
        return tuple(map(_freeze, value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    message = f"no option: {type(value).__name__}"
    raise TypeError(message)
