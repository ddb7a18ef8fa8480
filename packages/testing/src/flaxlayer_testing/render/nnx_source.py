"""The Python text of a spec as an nnx module: what is built runs it, what is printed shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from flaxlayer_testing.render.source import Writer, method_lines, mode_text, nested_specs, repeats
from flaxlayer_testing.spec.operations.of_nnx import NNX_OPERATIONS, NnxSite
from flaxlayer_testing.spec.signature import Signature
from flaxlayer_testing.spec.spec import ModuleSpec, Node
from flaxlayer_testing.spec.transforms import SIZE
from flaxlayer_testing.spec.typing import value_types

__all__ = ["NNX_TRANSFORMS", "class_texts", "is_of_nnx"]

NNX_TRANSFORMS: Mapping[str, str] = MappingProxyType(
    {
        "jit": "nnx.jit({run})({layer}, {args})",
        "remat": "nnx.remat({run})({layer}, {args})",
        "vmap": f"nnx.vmap({{run}}, in_axes=(0, {{nones}}), out_axes=1, axis_size={SIZE})"
        "({layer}, {args})",
        "scan": f"nnx.scan({{run}}, length={SIZE}, in_axes=(0, nnx.Carry), out_axes=nnx.Carry)"
        "({layer}, {args})",
    }
)
"""The Python expression of a transform of a nested module, by its name."""

_STACKING = ("vmap", "scan")


def is_of_nnx(spec: ModuleSpec) -> bool:
    """Tells whether nnx has all that a spec uses.

    Args:
        spec: A spec.

    Returns:
        False where an operation, a cell or a transform is of linen alone.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import ValueType
    >>> local = Node("conv_local", (0,), (("features", 2), ("kernel_size", (2,))))
    >>> is_of_nnx(ModuleSpec((ValueType((4, 2)),), (local,), (1,)))
    False

    ```
    """
    return all(map(_has_node, spec.nodes))


def _has_node(node: Node) -> bool:
    options = dict(node.options)
    if node.inner is not None:
        return options.get("transform", "jit") in NNX_TRANSFORMS and is_of_nnx(node.inner)
    known = node.op == "again" or node.op in NNX_OPERATIONS
    lacking = {"MGUCell", "with_logical_partitioning"}
    return known and not any(value in lacking for value in options.values())


@dataclass(frozen=True)
class _NnxWriter(Writer):
    """Writes the methods of one nnx class.

    Attributes:
        batch_size: The size of the batch, for caches.
    """

    batch_size: int = 2

    @property
    def _setup(self) -> bool:
        return True  # an nnx module makes its layers in its constructor

    @cached_property
    def _texts(self) -> list[str]:
        return [self._make(position) for position in range(len(self.spec.nodes))]

    def layer_text(self, position: int) -> str:
        """Returns the expression that makes the layer of a node; empty where it has none."""
        return self._texts[position]

    def _layer_name(self, position: int) -> str:
        # Attributes, entries of a list, or of a dict.
        number = self.results[position][0]
        if self.spec.style != "setup":
            return f"self.layer_{number}"
        if self.spec.encoder:
            return f"self.layers['layer_{number}']"
        return f"self.layers[{sum(map(bool, self._texts[:position]))}]"

    def _make(self, position: int) -> str:
        node = self.spec.nodes[position]
        if node.op == "again":
            return "again"
        if node.inner is None:
            return NNX_OPERATIONS[node.op].make(self._nnx_site(position, node))
        name = f"{self.prefix}{position}"
        if dict(node.options).get("transform") in _STACKING:
            return f"stacked({name}, rngs, {SIZE})"
        return f"{name}(rngs=rngs)"

    def _nnx_site(self, made: int, node: Node, layer: str = "") -> NnxSite:
        first, types = self.spec.nodes[made], value_types(self.spec)
        return NnxSite(
            args=tuple(map(self._name, node.args)),
            options=dict(first.options),
            index=self.results[made][0],
            training=mode_text(self.spec.flag, True),
            inference=mode_text(self.spec.flag, False),
            types=tuple(types[number] for number in first.args),
            layer=layer,
            batch_size=self.batch_size,
        )

    def _expression(self, position: int) -> str:
        node = self.spec.nodes[position]
        made = repeats(node) if node.op == "again" else position
        first = self.spec.nodes[made]
        layer = self._layer_name(position) if self._texts[position] else ""
        if first.inner is not None:
            return self._nested_call(made, node, layer)
        return NNX_OPERATIONS[first.op].call(self._nnx_site(made, node, layer))

    def _transform_text(self, node: Node) -> str:
        nones = ", ".join(["None"] * len(node.args))
        return NNX_TRANSFORMS[str(dict(node.options)["transform"])].replace("{nones}", nones)

    def setup_lines(self) -> list[str]:
        """Returns the lines of `__init__`."""
        made = [p for p in range(len(self.spec.nodes)) if self._texts[p]]
        lines = [self._made_line(position) for position in made]
        if self.spec.style == "setup":
            lines.insert(0, f"self.layers = nnx.{'Dict' if self.spec.encoder else 'List'}()")
        return lines or ["pass"]

    def _made_line(self, position: int) -> str:
        node, text = self.spec.nodes[position], self._texts[position]
        if node.op == "again":
            text = self._layer_name(repeats(node))
        if self.spec.style == "setup" and not self.spec.encoder:
            return f"self.layers.append({text})"
        return f"{self._layer_name(position)} = {text}"


def class_texts(
    spec: ModuleSpec, name: str = "Model", prefix: str = "Nested", *, batch_size: int = 2
) -> list[str]:
    r"""Returns the text of the class of a spec, behind those of the modules nested in it.

    Args:
        spec: A valid spec of operations that nnx has.
        name: The name of the class.
        prefix: What the names of nested classes begin with.
        batch_size: The size of the batch, for caches.

    Returns:
        Python text.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import Node, ValueType
    >>> node = Node("layer_norm", (0,), (("param_dtype", "float32"),))
    >>> print(class_texts(ModuleSpec((ValueType((3,)),), (node,), (1,)))[0])
    class Model(nnx.Module):
        def __init__(self, *, rngs):
            self.layer_1 = nnx.LayerNorm(3, param_dtype=jnp.float32, epsilon=0.01, rngs=rngs)
    <BLANKLINE>
        def __call__(self, x0):
            h1 = self.layer_1(x0)
            return h1

    ```
    """
    value_types(spec)
    writer = _NnxWriter(spec, prefix, batch_size)
    parameters = f"self, {Signature.of(spec).parameters}"
    methods = [method_lines("__init__", "self, *, rngs", writer.setup_lines())]
    if spec.encoder:
        methods.append(method_lines("encode", parameters, writer.encode_lines()))
    methods.append(method_lines("__call__", parameters, writer.call_lines()))
    body = "\n\n".join("\n".join(f"    {line}" for line in method) for method in methods)
    nested = [
        text
        for class_name, inner in nested_specs(spec, prefix).items()
        for text in class_texts(inner, class_name, f"{class_name}_", batch_size=batch_size)
    ]
    return [*nested, f"class {name}(nnx.Module):\n{body}"]
