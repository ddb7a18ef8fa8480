"""ONNX graphs in the places of operations of another one (S4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

__all__ = ["DOMAIN", "Call", "calls", "graft"]

# Of the operations that stand for graphs, and of the functions that these become for a moment.
DOMAIN = "flaxlayer"


@dataclass(frozen=True)
class Call:
    """An operation that a graph is to take the place of.

    Attributes:
        node: The operation in its model.
        name: What it calls.
        used: The positions of the results that something needs.
    """

    node: onnx.NodeProto
    name: str
    used: tuple[int, ...]


def calls(host: onnx.ModelProto) -> list[Call]:
    """Returns the operations of `DOMAIN`, which have the name of what they call as their `token`.

    Args:
        host: A model.
    """
    nodes = list(_nodes(host.graph))
    needed = {name for node in nodes for name in node.input}
    needed.update(value.name for graph in _graphs(host.graph) for value in graph.output)
    found = []
    for node in nodes:
        if node.domain == DOMAIN:
            used = tuple(i for i, name in enumerate(node.output) if name in needed)
            name = next(each.s.decode() for each in node.attribute if each.name == "token")
            found.append(Call(node, name, used))
    return found


def graft(
    host: onnx.ModelProto,
    parts: Sequence[tuple[Call, onnx.ModelProto]],
    shapes: Sequence[Sequence[int | str]],
) -> ir.Model:
    """Returns a model with graphs in the places of operations.

    Args:
        host: The model; it is changed.
        parts: Its operations of `DOMAIN`, each with the graph of the results that are used.
        shapes: The shapes of its inputs, names for unknown dimensions.

    Returns:
        The model, without what no output needs.
    """
    import onnx_ir as ir
    from onnx.helper import make_opsetid
    from onnx_ir.passes import common

    for index, (call, part) in enumerate(parts):
        name, node = f"{DOMAIN}_{index}", call.node
        node.op_type = name
        node.input.extend(_move_weights(name, part, host))
        node.output[:] = [node.output[position] for position in call.used]
        del node.attribute[:]
        host.functions.append(_function(name, part))
        host.ir_version = max(host.ir_version, part.ir_version)
    host.opset_import.append(make_opsetid(DOMAIN, 1))
    model = ir.from_proto(host)
    common.InlinePass()(model)
    common.RemoveUnusedNodesPass()(model)
    common.RemoveUnusedOpsetsPass()(model)
    common.DeduplicateHashedInitializersPass()(model)
    for value, shape in zip(model.graph.inputs, shapes, strict=True):
        value.shape = ir.Shape(shape)
    return model


def _move_weights(name: str, part: onnx.ModelProto, host: onnx.ModelProto) -> list[str]:
    moved = []
    for weight in part.graph.initializer:
        kept = host.graph.initializer.add()
        kept.CopyFrom(weight)
        kept.name = f"{name}/{weight.name}"
        moved.append(kept.name)
    return moved


def _function(name: str, part: onnx.ModelProto) -> onnx.FunctionProto:
    from onnx.helper import make_function

    graph = part.graph
    given = [value.name for value in graph.input]
    return make_function(
        DOMAIN,
        name,
        [*given, *(weight.name for weight in graph.initializer)],
        [value.name for value in graph.output],
        graph.node,
        part.opset_import,
    )


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    return (node for each in _graphs(graph) for node in each.node)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _graphs(inner)
