"""Hypothesis strategies for modules, inputs and cases (T1)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from flaxlayer_testing.building import make_inputs
from flaxlayer_testing.drawer import Draw
from flaxlayer_testing.drawing import Plan, applies, draw_flag, draw_nodes, loose_ends
from flaxlayer_testing.errors import ReadSpecError
from flaxlayer_testing.graph import FEATURES, spec_traits
from flaxlayer_testing.specs import Case, ModuleSpec, Node, ValueType

__all__ = ["INPUT_TYPES", "cases", "inputs", "modules"]

INPUT_TYPES = (
    ValueType((3,)),
    ValueType((4, 2)),
    ValueType((4,), "int32"),
    ValueType((4, 4, 2)),
    ValueType((3,), "bfloat16"),
    ValueType((), "int32"),
    ValueType((4, 2), "float16"),
)
"""Types of drawn inputs: few and tiny, so that compiled functions are shared."""

BATCH_SIZES = (2, 3)
MAX_SEED = 2**16 - 1

_OF_INPUTS = {
    "token_input": tuple(value for value in INPUT_TYPES if value.dtype == "int32"),
    "half_input": tuple(value for value in INPUT_TYPES if "float16" in value.dtype),
}
# A feature of a whole graph, by the features of nodes that bring it about.
_BY_NODES = {"state_stream_flag": ("count_steps", "dropout")}
_OF_SIGNATURE = frozenset(
    name
    for name in FEATURES
    if name in _OF_INPUTS or name.startswith(("flag", "several")) or name.endswith("_output")
) - {"flatten"}


def modules(
    *, max_nodes: int = 6, features: Collection[str] = (), without: Collection[str] = ()
) -> st.SearchStrategy[ModuleSpec]:
    """Draws specs of Flax modules.

    Every spec builds, and initialises and runs in both modes. The simplest is one `Dense`.

    Args:
        max_nodes: The most operations that are drawn freely; those that `features` asks for come
            on top.
        features: Features that every module shows, of `flaxlayer_testing.FEATURES`.
        without: Features that no module shows.

    Returns:
        A strategy for specs.

    Raises:
        ReadSpecError: If a feature is not known, or `max_nodes` is below 1.

    Example:

    ```python
    >>> from hypothesis import find
    >>> spec = find(modules(), lambda spec: True)
    >>> spec.nodes[0].op, spec.inputs
    ('dense', (ValueType(shape=(3,), dtype='float32'),))

    ```
    """
    unknown = sorted({*features, *without} - set(FEATURES))
    if unknown or max_nodes < 1:
        raise ReadSpecError(
            "No modules can be drawn.",
            expected="names of features, and at least one node; known: " + ", ".join(FEATURES),
            found=f"max_nodes={max_nodes}, unknown features {unknown}",
            fix="Correct the name.",
            law="T1",
        )
    return _modules(max_nodes, frozenset(features), frozenset(without))


@st.composite
def _modules(
    draw: st.DrawFn, max_nodes: int, features: frozenset[str], without: frozenset[str]
) -> ModuleSpec:
    drawer = Draw(draw)
    # In the order of FEATURES, as the order of a set is not the same in every process.
    needed = tuple(name for name in FEATURES if name in features - _OF_SIGNATURE)
    needed = tuple(part for name in needed for part in _BY_NODES.get(name, (name,)))
    input_types = _draw_inputs(drawer, needed, features, without)
    nodes, types = draw_nodes(drawer, input_types, Plan(max_nodes, needed, without))
    outputs = _outputs(len(types), nodes, features)
    structure = _draw_structure(drawer, len(outputs), features, without)
    spec = ModuleSpec(input_types, nodes, outputs, structure)
    spec = draw_flag(drawer, spec, features, without)
    shown = spec_traits(spec).features
    if not features <= shown or shown & without:
        reject()
    return spec


def _draw_inputs(
    draw: Draw, needed: Collection[str], features: frozenset[str], without: frozenset[str]
) -> tuple[ValueType, ...]:
    refused = {value for name in without for value in _OF_INPUTS.get(name, ())}
    allowed = [value for value in INPUT_TYPES if value not in refused]
    several = "several_inputs" in features
    count = 1 if "several_inputs" in without else draw.one_of((2, 2) if several else (1, 1, 2))
    drawn = [draw.one_of(allowed) for _ in range(count)]
    for name, values in _OF_INPUTS.items():
        if name in features and not set(drawn) & set(values):
            drawn[-1] = draw.one_of(values)
    for feature in needed:
        if not any(applies(feature, value, without) for value in drawn):
            drawn += [value for value in allowed if applies(feature, value, without)][:1]
    return tuple(drawn)


def _outputs(count: int, nodes: tuple[Node, ...], features: frozenset[str]) -> tuple[int, ...]:
    outputs = loose_ends(count, nodes)
    if "several_outputs" in features and len(outputs) == 1:
        outputs.insert(0, 0)
    return tuple(outputs)


def _draw_structure(
    draw: Draw, outputs: int, features: frozenset[str], without: frozenset[str]
) -> str:
    names = ["array"] if outputs == 1 else []
    names += [name for name in ("tuple", "dict") if f"{name}_output" not in without]
    wanted = [name for name in names if f"{name}_output" in features]
    if not (wanted or names):
        reject()
    return draw.mostly_first(wanted or names)


@st.composite
def inputs(
    draw: st.DrawFn, spec: ModuleSpec, *, batch_size: int | None = None
) -> tuple[np.ndarray[Any, Any], ...]:
    """Draws inputs for a module, from a seed: finite, token ids in range.

    Args:
        draw: Given by Hypothesis.
        spec: The module.
        batch_size: Size of their first dimension; 2 or 3 if not given.

    Returns:
        One array for each input.
    """
    drawer = Draw(draw)
    size = drawer.one_of(BATCH_SIZES) if batch_size is None else batch_size
    return make_inputs(spec, size, drawer.one_of(range(MAX_SEED + 1)))


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    max_nodes: int = 6,
    features: Collection[str] = (),
    without: Collection[str] = (),
) -> Case:
    """Draws cases: a module with all that a run of it needs.

    Args:
        draw: Given by Hypothesis.
        max_nodes: As for `modules`.
        features: As for `modules`.
        without: As for `modules`.

    Returns:
        A case, which serialises and replays.
    """
    spec = draw(modules(max_nodes=max_nodes, features=features, without=without))
    drawer = Draw(draw)
    return Case(spec, drawer.one_of(BATCH_SIZES), drawer.one_of(range(MAX_SEED + 1)))
