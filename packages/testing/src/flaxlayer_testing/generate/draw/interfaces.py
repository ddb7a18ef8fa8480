"""Draws what stands around a graph: inputs, masks, forms of arguments and outputs (T1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from hypothesis import reject

from flaxlayer_testing.generate.draw.candidates import applies, loose_ends
from flaxlayer_testing.generate.draw.drawer import Draw
from flaxlayer_testing.spec.features import FEATURES
from flaxlayer_testing.spec.operations.masks import fits_mask
from flaxlayer_testing.spec.spec import ARGUMENTS, STRUCTURES, ModuleSpec, Node, ValueType
from flaxlayer_testing.spec.typing import masked_input

__all__ = [
    "INPUT_TYPES",
    "OF_SIGNATURE",
    "Wish",
    "allowed_inputs",
    "draw_inputs",
    "draw_methods",
    "draw_outputs",
    "is_idle",
]

INPUT_TYPES = (
    ValueType((3,)),
    ValueType((4, 2)),
    ValueType((4,), "int32"),
    ValueType((4, 4, 2)),
    ValueType((3,), "bfloat16"),
    ValueType((), "int32"),
    ValueType((4, 2), "float16"),
    ValueType((2, 2, 2, 2)),
)
"""Types of drawn inputs: few and tiny, so that compiled functions are shared."""

SEQUENCE = ValueType((4, 2))
MASK = ValueType((4,), "bool")

_OF_INPUTS = {
    "token_input": tuple(value for value in INPUT_TYPES if value.dtype == "int32"),
    "half_input": tuple(value for value in INPUT_TYPES if "float16" in value.dtype),
}
OF_SIGNATURE = frozenset(
    name
    for name in FEATURES
    if name.startswith(("flag", "several")) or name.endswith(("_output", "_input", "_argument"))
) - {"flatten"} | {"setup"}
"""Features of a whole module, not of a node."""

# Shrinking prefers the first; the other is drawn one time in four.
RARELY = (False, False, False, True)


@dataclass(frozen=True)
class Wish:
    """What a module has to show.

    Attributes:
        features: Features that it shows.
        without: Features that it does not show.
        hoped: Features that it shows if it can.
        setup: Whether it makes its submodules in `setup`.
    """

    features: frozenset[str]
    without: frozenset[str]
    hoped: frozenset[str] = frozenset()
    setup: bool = False

    @property
    def all(self) -> frozenset[str]:
        """What it shows, and what it shows if it can."""
        return self.features | self.hoped

    def choose(self, draw: Draw, feature: str, drawn: bool) -> bool:
        """Returns what was drawn, unless the feature is wanted or refused."""
        return feature in self.all or (drawn and feature not in self.without)

    def wanted(self, names: Sequence[str], end: str) -> list[str]:
        """Returns those of some names whose features it has to show, or else hopes to."""
        must = [name for name in names if name + end in self.features]
        return must or [name for name in names if name + end in self.hoped]


def draw_inputs(draw: Draw, needed: Collection[str], wish: Wish) -> tuple[ValueType, ...]:
    """Draws the types of the inputs, a mask behind the others.

    Args:
        draw: What to draw with.
        needed: Features of nodes that have to apply to them.
        wish: What the module has to show.

    Returns:
        One to four types, more where features need them.
    """
    allowed = allowed_inputs(wish)
    several = "several_inputs" in wish.all
    counts = (2, 2) if several else (1, 1, 2)
    count = draw.one_of(counts) if "several_inputs" not in wish.without else 1
    drawn = [draw.one_of(allowed) for _ in range(count)]
    # What must be shown last, so that it stays.
    for name, values in sorted(_OF_INPUTS.items(), key=lambda pair: pair[0] in wish.features):
        if name in wish.all and not set(drawn) & set(values):
            drawn[-1] = draw.one_of(values)
    masked = _draw_mask(draw, wish)
    if masked and not any(fits_mask(value, MASK) for value in drawn):
        drawn[0] = SEQUENCE
    drawn += [MASK] if masked else []
    # An input that nothing asked for makes room for the first that is needed: what is drawn for a
    # feature shrinks to that feature.
    idle = is_idle(drawn, wish)
    for feature in needed:
        missing = _missing(feature, drawn, [*allowed, MASK], wish)
        drawn = missing if missing and idle else [*drawn, *missing]
        idle = False
    return tuple(sorted(drawn, key=lambda value: value.dtype == "bool"))


def is_idle(inputs: Sequence[ValueType], wish: Wish) -> bool:
    """Whether there is one input, and nothing that is wished for asks for it."""
    return len(inputs) == 1 and not wish.all & {*_OF_INPUTS, "several_inputs"}


def allowed_inputs(wish: Wish) -> tuple[ValueType, ...]:
    """Returns the types that an input may have, the simplest first."""
    refused = {value for name in wish.without for value in _OF_INPUTS.get(name, ())}
    return tuple(value for value in INPUT_TYPES if value not in refused)


def _draw_mask(draw: Draw, wish: Wish) -> bool:
    wanted = {"mask_input", "mask_argument"} & wish.all
    allowed = not {"mask_input", "several_inputs"} & wish.without
    return bool(wanted) or (draw.one_of(RARELY) and allowed)


def _missing(
    feature: str, drawn: list[ValueType], allowed: list[ValueType], wish: Wish
) -> list[ValueType]:
    """Returns the types that have to be added so that an operation shows a feature."""
    if applies(feature, drawn, wish.without, setup=wish.setup):
        return []
    wanted = applies(feature, allowed, wish.without, setup=wish.setup)
    return [value for value in dict.fromkeys(wanted) if value not in drawn]


def draw_outputs(draw: Draw, spec: ModuleSpec, count: int, wish: Wish) -> ModuleSpec:
    """Draws how a module returns its loose ends.

    Args:
        draw: What to draw with.
        spec: A spec with all its nodes.
        count: How many values it has.
        wish: What the module has to show.

    Returns:
        The spec with outputs.
    """
    outputs = _outputs(count, spec.nodes, wish.all)
    names = [name for name in STRUCTURES if f"{name}_output" not in wish.without]
    names = names if len(outputs) == 1 else [name for name in names if name != "array"]
    wanted = wish.wanted(names, "_output")
    if not (wanted or names):
        reject()
    structure = draw.mostly_first(wanted or names)
    return replace(spec, outputs=outputs, structure=structure)


def _outputs(count: int, nodes: tuple[Node, ...], features: frozenset[str]) -> tuple[int, ...]:
    outputs = loose_ends(count, nodes)
    if "several_outputs" in features and len(outputs) == 1:
        outputs.insert(0, 0)
    return tuple(outputs)


def draw_methods(draw: Draw, spec: ModuleSpec, wish: Wish) -> ModuleSpec:
    """Draws how a module takes its inputs, and whether it has a second method.

    Args:
        draw: What to draw with.
        spec: A spec with all its nodes.
        wish: What the module has to show.

    Returns:
        The spec with its form of arguments, its mask and its encoder.
    """
    fits = masked_input(spec) is not None
    mask = wish.choose(draw, "mask_argument", draw.one_of((True, True, False)) and fits)
    forms = [name for name in ARGUMENTS if f"{name}_input" not in wish.without]
    wanted = wish.wanted(forms, "_input")
    form = draw.mostly_first(wanted or forms)
    splits = draw.one_of((False, True)) and spec.style == "setup"
    first = draw.one_of(tuple(range(1, len(spec.nodes) + 1))) if spec.nodes else 0
    encoder = first if wish.choose(draw, "several_methods", splits) else 0
    return replace(spec, mask=mask, arguments=form, encoder=encoder)
