"""The Python text of a spec. It is what a built module runs and what a program prints (T1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from flaxlayer_testing.spec.operations import OPERATIONS, Site
from flaxlayer_testing.spec.signature import Signature, call_text
from flaxlayer_testing.spec.spec import FLAG_NAMES, Flag, ModuleSpec, Node
from flaxlayer_testing.spec.transforms import TRANSFORMS
from flaxlayer_testing.spec.typing import extended_output, masked_input, value_types

__all__ = [
    "Writer",
    "input_names",
    "method_lines",
    "methods_text",
    "mode_text",
    "nested_specs",
    "repeats",
]

_UNPACKED = {
    "dict": "{names} = {keys}",
    "tuple": "{names} = inputs",
    "dataclass": "{names} = inputs.values",
}


def input_names(spec: ModuleSpec) -> list[str]:
    """Returns the names of the module's arrays."""
    return [_value_name(spec, number) for number in range(len(spec.inputs))]


def mode_text(flag: Flag | None, training: bool) -> str:
    """Returns the expression that is true in a mode, by the training argument."""
    if flag is None:
        return str(training)
    return flag.name if FLAG_NAMES[flag.name] == training else f"not {flag.name}"


def _value_name(spec: ModuleSpec, number: int) -> str:
    if spec.mask and number == len(spec.inputs) - 1:
        return "mask"
    return f"x{number}" if number < len(spec.inputs) else f"h{number}"


def nested_specs(spec: ModuleSpec, prefix: str = "Nested") -> dict[str, ModuleSpec]:
    """Returns the nested specs of a spec by the names of their classes, not those within them."""
    return {
        f"{prefix}{position}": node.inner
        for position, node in enumerate(spec.nodes)
        if node.inner is not None
    }


@dataclass(frozen=True)
class Writer:
    """Writes the methods of one class.

    Attributes:
        spec: A valid spec.
        prefix: What the names of nested classes begin with.
    """

    spec: ModuleSpec
    prefix: str

    # Numbers and names.

    @cached_property
    def results(self) -> list[range]:
        """The numbers of the results of each node."""
        found, first = [], len(self.spec.inputs)
        for position in range(len(self.spec.nodes)):
            count = len(self._result_types(position))
            found.append(range(first, first + count))
            first += count
        return found

    def _result_types(self, position: int) -> Sequence[object]:
        nodes = self.spec.nodes[: position + 1]
        before = value_types(_open(self.spec, nodes[:-1]))
        return value_types(_open(self.spec, nodes))[len(before) :]

    def _name(self, number: int) -> str:
        return _value_name(self.spec, number)

    @cached_property
    def repeated(self) -> set[int]:
        """The positions of the nodes whose layers are called again."""
        return {repeats(node) for node in self.spec.nodes if node.op == "again"}

    @property
    def _setup(self) -> bool:
        return self.spec.style == "setup"

    def _layer_name(self, position: int) -> str:
        return f"{'self.' if self._setup else ''}layer_{self.results[position][0]}"

    # Expressions.

    def _site(self, position: int, node: Node) -> Site:
        return Site(
            args=tuple(map(self._name, node.args)),
            options=dict(node.options),
            index=self.results[position][0],
            training=mode_text(self.spec.flag, True),
            inference=mode_text(self.spec.flag, False),
        )

    def layer_text(self, position: int) -> str:
        """Returns the expression that makes the layer of a node; empty where it has none."""
        node = self.spec.nodes[position]
        if node.inner is not None:
            return f"{self._nested_class(position)}({self._nested_fields(position)})"
        operation = OPERATIONS.get(node.op)
        layer = operation.layer if operation else None
        return layer(self._site(position, node)) if layer else ""

    def _nested_class(self, position: int) -> str:
        name, options = f"{self.prefix}{position}", dict(self.spec.nodes[position].options)
        if not options:
            return name
        return TRANSFORMS[str(options["transform"])].layer.replace("{name}", name)

    def _nested_fields(self, position: int) -> str:
        return "" if self._setup else f"name='nested_{self.results[position][0]}'"

    def _is_named(self, position: int) -> bool:
        return bool(self.layer_text(position)) and (self._setup or position in self.repeated)

    def _expression(self, position: int) -> str:
        node = self.spec.nodes[position]
        if node.op == "again":
            return self._call(repeats(node), position, self._layer_name(repeats(node)))
        named = self._layer_name(position) if self._is_named(position) else ""
        return self._call(position, position, named)

    def _call(self, made: int, position: int, named: str) -> str:
        node, first = self.spec.nodes[position], self.spec.nodes[made]
        if first.inner is not None:
            return self._nested_call(made, node, named or self.layer_text(made))
        site = self._site(made, Node(first.op, node.args, first.options))
        return OPERATIONS[first.op].expression(site, layer=named)

    def _nested_call(self, made: int, node: Node, layer: str) -> str:
        first = self.spec.nodes[made]
        inner, args = first.inner, list(map(self._name, node.args))
        assert inner is not None
        flag = inner.flag
        value = mode_text(self.spec.flag, flag is None or FLAG_NAMES[flag.name])
        if not first.options:
            return f"{layer}({call_text(args, flag, value)})"
        run = f"lambda m, *xs: m({call_text(['*xs'], flag, value)})"
        step = f"m({call_text(['x'], flag, value)})"
        text = self._transform_text(first).replace("{run}", run).replace("{step}", step)
        return text.replace("{layer}", layer).replace("{args}", ", ".join(args))

    def _transform_text(self, node: Node) -> str:
        return TRANSFORMS[str(dict(node.options)["transform"])].text

    # Lines.

    def node_lines(self, position: int) -> list[str]:
        """Returns the lines of one node in a method."""
        node, lines = self.spec.nodes[position], []
        if not self._setup and self._is_named(position):
            lines.append(f"{self._layer_name(position)} = {self.layer_text(position)}")
        first = self.spec.nodes[repeats(node)] if node.op == "again" else node
        single = first.inner is not None and first.inner.structure == "tuple"
        names = [self._name(number) for number in self.results[position]]
        comma = "," if single and len(names) == 1 else ""
        return [*lines, f"{', '.join(names)}{comma} = {self._expression(position)}"]

    def setup_lines(self) -> list[str]:
        """Returns the lines of `setup`."""
        positions = range(len(self.spec.nodes))
        made = [
            f"{self._layer_name(p)} = {self.layer_text(p)}" for p in positions if self.layer_text(p)
        ]
        return made or ["pass"]

    def handed_on(self) -> list[str]:
        """Returns the names of the values that `encode` returns."""
        spec, count = self.spec, self.spec.encoder
        own = [number for part in self.results[:count] for number in part]
        later = {n for node in spec.nodes[count:] for n in node.args} | set(spec.outputs)
        return [self._name(number) for number in own if number in later or number == own[-1]]

    def encode_lines(self) -> list[str]:
        """Returns the lines of the method `encode`."""
        lines = [line for p in range(self.spec.encoder) for line in self.node_lines(p)]
        return [*self.entry_lines(), *lines, f"return {_joined(self.handed_on())}"]

    def call_lines(self) -> list[str]:
        """Returns the lines of `__call__`."""
        spec, lines = self.spec, []
        if spec.encoder:
            call = f"self.encode({Signature.of(spec).call})"
            lines.append(f"{', '.join(self.handed_on())} = {call}")
        for position in range(spec.encoder, len(spec.nodes)):
            lines += self.node_lines(position)
        lines += self.extra_lines()
        return [*self.entry_lines(), *lines, f"return {self._return_text()}"]

    def extra_lines(self) -> list[str]:
        """Returns the lines in which extra parameters change the first floating output."""
        number = extended_output(self.spec)
        name = "" if number is None else self._name(number)
        return [f"{name} = {extra.kind.text.format(y=name)}" for extra in self.spec.extras]

    def entry_lines(self) -> list[str]:
        """Returns the lines that give the inputs their names."""
        spec, names = self.spec, input_names(self.spec)
        lines = []
        if spec.arguments != "positional":
            own = names[: len(names) - spec.mask]
            text = ", ".join(own) if len(own) > 1 else f"({own[0]},)"
            keys = ", ".join(f"inputs['{name}']" for name in own)
            keys = keys if len(own) > 1 else f"({keys},)"
            lines.append(_UNPACKED[spec.arguments].format(names=text, keys=keys))
        if spec.mask:
            masked = names[masked_input(spec) or 0]
            lines.append(f"mask = jnp.ones({masked}.shape[:2], bool) if mask is None else mask")
        return lines

    def _return_text(self) -> str:
        names = [self._name(number) for number in self.spec.outputs]
        tuple_text = f"({', '.join(names)}{',' if len(names) == 1 else ''})"
        if self.spec.structure == "dict":
            return "{" + ", ".join(f"'y{i}': {name}" for i, name in enumerate(names)) + "}"
        return {
            "array": names[0],
            "tuple": tuple_text,
            "nested": f"{{'first': {names[0]}, 'rest': [{', '.join(names[1:])}]}}",
            "dataclass": f"Record({tuple_text})",
        }[self.spec.structure]


def _open(spec: ModuleSpec, nodes: tuple[Node, ...]) -> ModuleSpec:
    return ModuleSpec(spec.inputs, nodes, (0,), "array", spec.flag, style=spec.style)


def repeats(node: Node) -> int:
    """Returns the position of the node whose layer a node calls again."""
    position = dict(node.options)["node"]
    assert isinstance(position, int)
    return position


def _joined(names: Sequence[str]) -> str:
    return ", ".join(names)


def methods_text(spec: ModuleSpec, prefix: str = "Nested") -> Mapping[str, list[str]]:
    r"""Returns the lines of each method of a spec.

    Args:
        spec: A valid spec.
        prefix: What the names of nested classes begin with.

    Returns:
        Lines without indentation of the methods themselves, by name; decorators are left to the
        caller.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import ModuleSpec, Node, ValueType
    >>> node = Node("activation", (0,), (("function", "relu"),))
    >>> spec = ModuleSpec((ValueType((3,)),), (node,), (1,))
    >>> print("\n".join(methods_text(spec)["__call__"]))
    def __call__(self, x0):
        h1 = nn.relu(x0)
        return h1

    ```
    """
    value_types(spec)
    writer, parameters = Writer(spec, prefix), f"self, {Signature.of(spec).parameters}"
    methods = {}
    if spec.style == "setup":
        methods["setup"] = method_lines("setup", "self", writer.setup_lines())
    if spec.encoder:
        methods["encode"] = method_lines("encode", parameters, writer.encode_lines())
    return {**methods, "__call__": method_lines("__call__", parameters, writer.call_lines())}


def method_lines(name: str, parameters: str, lines: Sequence[str]) -> list[str]:
    """Returns the lines of a method."""
    return [f"def {name}({parameters}):", *(f"    {line}" for line in lines)]
