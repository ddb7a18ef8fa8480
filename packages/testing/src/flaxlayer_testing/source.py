"""The Python text of a spec. It is what a built module runs and what a program prints (T1)."""

from __future__ import annotations

from collections.abc import Sequence

from flaxlayer_testing.graph import value_types
from flaxlayer_testing.operations import OPERATIONS, Site
from flaxlayer_testing.specs import FLAG_NAMES, Flag, ModuleSpec, Node, ValueType

__all__ = ["call_text", "input_names", "method_text", "nested_specs", "parameters_text"]


def input_names(spec: ModuleSpec) -> list[str]:
    """Returns the names of the method's arrays."""
    return [f"x{number}" for number in range(len(spec.inputs))]


def parameters_text(inputs: Sequence[str], flag: Flag | None) -> str:
    """Returns the text of a method's parameters after `self`."""
    parameters = [*inputs]
    if flag is not None:
        default = "" if flag.default is None else f"={flag.default}"
        parameters += ["*"] if flag.keyword_only else []
        parameters.append(flag.name + default)
    return ", ".join(parameters)


def call_text(inputs: Sequence[str], flag: Flag | None, value: str) -> str:
    """Returns the text of the arguments that call such a method."""
    return ", ".join([*inputs, *([f"{flag.name}={value}"] if flag else [])])


def _mode_text(flag: Flag | None, training: bool) -> str:
    if flag is None:
        return str(training)
    return flag.name if FLAG_NAMES[flag.name] == training else f"not {flag.name}"


def _value_name(spec: ModuleSpec, number: int) -> str:
    return f"x{number}" if number < len(spec.inputs) else f"h{number}"


def nested_specs(spec: ModuleSpec, prefix: str = "Nested") -> dict[str, ModuleSpec]:
    """Returns the nested specs of a spec by the names of their classes, not those within them."""
    return {
        f"{prefix}{position}": node.inner
        for position, node in enumerate(spec.nodes)
        if node.inner is not None
    }


def _node_text(spec: ModuleSpec, node: Node, index: int, class_name: str) -> str:
    args = tuple(_value_name(spec, number) for number in node.args)
    if node.inner is not None:
        mode = _mode_text(spec.flag, node.inner.flag is None or FLAG_NAMES[node.inner.flag.name])
        call = call_text(args, node.inner.flag, mode)
        return f"{class_name}(name='nested_{index}')({call})"
    site = Site(
        args=args,
        options=dict(node.options),
        index=index,
        training=_mode_text(spec.flag, True),
        inference=_mode_text(spec.flag, False),
    )
    return OPERATIONS[node.op].text(site)


def _result_count(spec: ModuleSpec, node: Node, values: Sequence[ValueType]) -> int:
    if node.inner is not None:
        return len(node.inner.outputs)
    args = [values[number] for number in node.args]
    return len(OPERATIONS[node.op].results(args, dict(node.options)))


def _target_text(spec: ModuleSpec, node: Node, first: int, count: int) -> str:
    names = [_value_name(spec, first + offset) for offset in range(count)]
    single = node.inner is not None and node.inner.structure == "tuple" and count == 1
    return ", ".join(names) + ("," if single else "")


def _return_text(spec: ModuleSpec) -> str:
    names = [_value_name(spec, number) for number in spec.outputs]
    if spec.structure == "array":
        return names[0]
    if spec.structure == "tuple":
        return f"({', '.join(names)}{',' if len(names) == 1 else ''})"
    return "{" + ", ".join(f"'y{i}': {name}" for i, name in enumerate(names)) + "}"


def method_text(spec: ModuleSpec, prefix: str = "Nested") -> list[str]:
    r"""Returns the lines of the method `__call__` of a spec.

    Args:
        spec: A valid spec.
        prefix: What the names of nested classes begin with.

    Returns:
        Lines without indentation of the method itself; the decorator is left to the caller.

    Example:

    ```python
    >>> from flaxlayer_testing.specs import ModuleSpec, Node, ValueType
    >>> node = Node("activation", (0,), (("function", "relu"),))
    >>> print("\n".join(method_text(ModuleSpec((ValueType((3,)),), (node,), (1,)))))
    def __call__(self, x0):
        h1 = nn.relu(x0)
        return h1

    ```
    """
    types = value_types(spec)
    lines = [f"def __call__(self, {parameters_text(input_names(spec), spec.flag)}):"]
    number = len(spec.inputs)
    for position, node in enumerate(spec.nodes):
        count = _result_count(spec, node, types)
        text = _node_text(spec, node, number, f"{prefix}{position}")
        lines.append(f"    {_target_text(spec, node, number, count)} = {text}")
        number += count
    return [*lines, f"    return {_return_text(spec)}"]
