"""The first and the last lines of a method: how it takes its arrays and returns its results."""

from __future__ import annotations

from collections.abc import Sequence

from flaxlayer_testing.spec.spec import TOLD, ModuleSpec
from flaxlayer_testing.spec.typing import extended_output, masked_input

__all__ = ["entry_lines", "extra_lines", "input_names", "joined", "return_text", "value_name"]

_UNPACKED = {
    "dict": "{names} = {keys}",
    "tuple": "{names} = inputs",
    "dataclass": "{names} = inputs.values",
}


def joined(names: Sequence[str]) -> str:
    """Returns texts with commas between them."""
    return ", ".join(names)


def value_name(spec: ModuleSpec, number: int) -> str:
    """Returns the name of a value by its number."""
    if spec.mask and number == len(spec.inputs) - 1:
        return "mask"
    return f"x{number}" if number < len(spec.inputs) else f"h{number}"


def input_names(spec: ModuleSpec) -> list[str]:
    """Returns the names of the module's arrays."""
    return [value_name(spec, number) for number in range(len(spec.inputs))]


def entry_lines(spec: ModuleSpec) -> list[str]:
    """Returns the lines that give the inputs their names."""
    names, lines = input_names(spec), []
    if spec.arguments != "positional":
        own = names[: len(names) - spec.mask]
        text = joined(own) if len(own) > 1 else f"({own[0]},)"
        keys = joined([f"inputs['{name}']" for name in own])
        keys = keys if len(own) > 1 else f"({keys},)"
        lines.append(_UNPACKED[spec.arguments].format(names=text, keys=keys))
    if spec.mask:
        masked = names[masked_input(spec) or 0]
        lines.append(f"mask = jnp.ones({masked}.shape[:2], bool) if mask is None else mask")
    return lines


def extra_lines(spec: ModuleSpec) -> list[str]:
    """Returns the lines in which extra parameters change the first floating output."""
    number = extended_output(spec)
    name = "" if number is None else value_name(spec, number)
    return [f"{name} = {extra.kind.text.format(y=name)}" for extra in spec.extras]


def return_text(spec: ModuleSpec) -> str:
    """Returns the expression of what the module returns."""
    names = [value_name(spec, number) for number in spec.outputs]
    tuple_text = f"({joined(names)}{',' if len(names) == 1 else ''})"
    if spec.structure == "dict":
        return "{" + joined([f"'y{i}': {name}" for i, name in enumerate(names)]) + "}"
    return {
        "array": names[0],
        "tuple": tuple_text,
        "nested": f"{{'first': {names[0]}, 'rest': [{joined(names[1:])}]}}",
        "dataclass": f"Record({tuple_text})",
        TOLD: f"{{'values': {tuple_text}, 'told': told_by({names[0]})}}",
    }[spec.structure]
