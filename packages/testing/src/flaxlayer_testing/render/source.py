"""The common walk from a spec to the Python text of its module, whatever it is written in (T1)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from flaxlayer_testing.render.method_ends import (
    entry_lines,
    extra_lines,
    joined,
    return_text,
    value_name,
)
from flaxlayer_testing.spec.operations import OPERATIONS
from flaxlayer_testing.spec.operations.forms import Form, Site
from flaxlayer_testing.spec.signature import Signature, call_text
from flaxlayer_testing.spec.spec import FLAG_NAMES, Flag, ModuleSpec, Node
from flaxlayer_testing.spec.transforms import TRANSFORMS, TransformForm
from flaxlayer_testing.spec.typing import value_types

__all__ = ["Writer", "class_texts", "nested_specs", "repeats"]


@dataclass(frozen=True)
class Writer(ABC):
    """Writes the class of a spec; what it is written in decides where its layers are made.

    Attributes:
        spec: A valid spec that uses only what the framework has.
        prefix: What the names of nested classes begin with.
        batch_size: The size of the batch, for caches.
    """

    spec: ModuleSpec
    prefix: str = "Nested"
    batch_size: int = 2

    # What differs between the frameworks.

    framework = ""  # what it is written in
    flax = ""  # what that is called in the text
    nested = ""  # the expression that makes a nested module, of `{name}` and `{fields}`
    constructor = ""  # the method that makes layers, with its parameters
    between = ""  # what stands between two methods

    @property
    @abstractmethod
    def constructs(self) -> bool:
        """Whether a method of its own makes the layers."""

    @property
    def decorators(self) -> list[str]:
        """The lines above each method."""
        return []

    @abstractmethod
    def constructor_lines(self) -> list[str]:
        """Returns the lines of the method that makes the layers."""

    @abstractmethod
    def layer_text(self, position: int) -> str:
        """Returns the expression of the layer that a node calls; empty where it has none."""

    def lines_before(self, position: int) -> list[str]:
        """Returns the lines that make the layer of a node just before its call."""
        return []

    def nested_fields(self, position: int) -> str:
        """Returns what a nested module is made with."""
        return ""

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

    def _names(self, numbers: Sequence[int]) -> list[str]:
        return [value_name(self.spec, number) for number in numbers]

    def maker(self, position: int) -> int:
        """Returns the position of the node that makes the layer of a node, mostly its own."""
        node = self.spec.nodes[position]
        return repeats(node) if node.op == "again" else position

    # Expressions.

    def made_text(self, position: int) -> str:
        """Returns the expression that makes the layer of a node; empty where it makes none."""
        node = self.spec.nodes[position]
        if node.inner is not None:
            form = self._transform(node)
            text = (form.make if form else "") or self.nested
            text = text.replace("{fields}", self.nested_fields(position))
            return text.replace("{name}", f"{self.prefix}{position}")
        make = None if node.op == "again" else self._form(node).make
        return make(self._site(position)) if make else ""

    def _form(self, node: Node) -> Form:
        return OPERATIONS[node.op].forms[self.framework]

    def _transform(self, node: Node) -> TransformForm | None:
        name = dict(node.options).get("transform")
        return TRANSFORMS[str(name)].forms[self.framework] if name else None

    def _site(self, position: int, layer: str = "") -> Site:
        made, types = self.maker(position), value_types(self.spec)
        first = self.spec.nodes[made]
        return Site(
            args=tuple(self._names(self.spec.nodes[position].args)),
            options=dict(first.options),
            index=self.results[made][0],
            types=tuple(types[number] for number in first.args),
            layer=layer,
            training=_mode_text(self.spec.flag, True),
            inference=_mode_text(self.spec.flag, False),
            batch_size=self.batch_size,
            flax=self.flax,
        )

    def _expression(self, position: int) -> str:
        first, layer = self.spec.nodes[self.maker(position)], self.layer_text(position)
        if first.inner is not None:
            return self._nested_call(first, first.inner, position, layer)
        return self._form(first).call(self._site(position, layer))

    def _nested_call(self, first: Node, inner: ModuleSpec, position: int, layer: str) -> str:
        args, flag = self._names(self.spec.nodes[position].args), inner.flag
        value = _mode_text(self.spec.flag, flag is None or FLAG_NAMES[flag.name])
        form = self._transform(first)
        if form is None:
            return f"{layer}({call_text(args, flag, value)})"
        run = f"lambda m, *xs: m({call_text(['*xs'], flag, value)})"
        step = f"m({call_text(['x'], flag, value)})"
        text = form.call.replace("{nones}", joined(["None"] * len(args))).replace("{step}", step)
        return text.replace("{run}", run).replace("{layer}", layer).replace("{args}", joined(args))

    # Lines.

    def _node_lines(self, position: int) -> list[str]:
        inner = self.spec.nodes[self.maker(position)].inner
        names = self._names(self.results[position])
        comma = "," if inner and inner.structure == "tuple" and len(names) == 1 else ""
        call = f"{joined(names)}{comma} = {self._expression(position)}"
        return [*self.lines_before(position), call]

    def _handed_on(self) -> list[str]:
        """Returns the names of the values that `encode` returns."""
        spec, count = self.spec, self.spec.encoder
        own = [number for part in self.results[:count] for number in part]
        later = {n for node in spec.nodes[count:] for n in node.args} | set(spec.outputs)
        return self._names([n for n in own if n in later or n == own[-1]])

    def _encode_lines(self) -> list[str]:
        lines = [line for p in range(self.spec.encoder) for line in self._node_lines(p)]
        return [*entry_lines(self.spec), *lines, f"return {joined(self._handed_on())}"]

    def _call_lines(self) -> list[str]:
        spec, lines = self.spec, []
        if spec.encoder:
            call = f"self.encode({Signature.of(spec).call})"
            lines.append(f"{joined(self._handed_on())} = {call}")
        for position in range(spec.encoder, len(spec.nodes)):
            lines += self._node_lines(position)
        ends = [*extra_lines(spec), f"return {return_text(spec)}"]
        return [*entry_lines(spec), *lines, *ends]

    # Methods.

    def methods(self) -> dict[str, list[str]]:
        """Returns the lines of each method by its name, decorators apart."""
        parameters, lines = f"self, {Signature.of(self.spec).parameters}", {}
        if self.constructs:
            name = self.constructor.partition("(")[0]
            lines[name] = _method(self.constructor, self.constructor_lines())
        if self.spec.encoder:
            lines["encode"] = _method(f"encode({parameters})", self._encode_lines())
        return {**lines, "__call__": _method(f"__call__({parameters})", self._call_lines())}

    def class_text(self, name: str) -> str:
        """Returns the text of the class, its nested classes apart."""
        methods = [[*self.decorators, *method] for method in self.methods().values()]
        texts = ["\n".join(f"    {line}" for line in method) for method in methods]
        return f"class {name}({self.flax}.Module):\n{self.between.join(texts)}"


def class_texts(writer: Writer, name: str = "Model") -> list[str]:
    """Returns the text of the class of a spec, behind those of the modules nested in it.

    Args:
        writer: Writes the class.
        name: The name of the class.

    Returns:
        Python text.

    Raises:
        ReadSpecError: If the spec is not valid.
    """
    value_types(writer.spec)
    nested = [
        text
        for class_name, inner in nested_specs(writer.spec, writer.prefix).items()
        for text in class_texts(replace(writer, spec=inner, prefix=f"{class_name}_"), class_name)
    ]
    return [*nested, writer.class_text(name)]


def nested_specs(spec: ModuleSpec, prefix: str = "Nested") -> dict[str, ModuleSpec]:
    """Returns the nested specs of a spec by the names of their classes, not those within them."""
    return {
        f"{prefix}{position}": node.inner
        for position, node in enumerate(spec.nodes)
        if node.inner is not None
    }


def repeats(node: Node) -> int:
    """Returns the position of the node whose layer a node calls again."""
    position = dict(node.options)["node"]
    assert isinstance(position, int)
    return position


def _mode_text(flag: Flag | None, training: bool) -> str:
    """Returns the expression that is true in a mode, by the training argument."""
    if flag is None:
        return str(training)
    return flag.name if FLAG_NAMES[flag.name] == training else f"not {flag.name}"


def _open(spec: ModuleSpec, nodes: tuple[Node, ...]) -> ModuleSpec:
    return ModuleSpec(spec.inputs, nodes, (0,), "array", spec.flag, style=spec.style)


def _method(head: str, lines: Sequence[str]) -> list[str]:
    return [f"def {head}:", *(f"    {line}" for line in lines)]
