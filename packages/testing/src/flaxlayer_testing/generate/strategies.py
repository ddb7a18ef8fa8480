"""Hypothesis strategies for modules, inputs, variables and cases (T1)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st

from flaxlayer_testing.errors import ReadSpecError
from flaxlayer_testing.generate.draw.arguments import draw_extras, draw_given
from flaxlayer_testing.generate.draw.candidates import Plan
from flaxlayer_testing.generate.draw.drawer import Draw, once
from flaxlayer_testing.generate.draw.graphs import draw_flag, draw_nodes, draw_style
from flaxlayer_testing.generate.draw.interfaces import (
    OF_SIGNATURE,
    Wish,
    allowed_inputs,
    draw_inputs,
    draw_methods,
    draw_outputs,
    is_idle,
)
from flaxlayer_testing.render.building import make_inputs, make_variables
from flaxlayer_testing.spec.features import FEATURES
from flaxlayer_testing.spec.freedom import dimensions, is_free
from flaxlayer_testing.spec.spec import Case, ModuleSpec
from flaxlayer_testing.spec.traits import spec_traits

__all__ = ["LINEN_FEATURES", "cases", "draw_case", "inputs", "modules", "specs", "variables"]

BATCH_SIZES = (2, 1, 3, 5)
SEEDS = 2**16
# How many features a module is drawn for, beside what is drawn freely.
HOPES = (0, 1, 2, 2, 3)
# What free drawing seldom shows is hoped for twice as often.
SELDOM = (
    *("add_metadata_axis", "bidirectional", "boxed_sum", "compact_name_scope", "cond"),
    *("conv_grouped", "conv_local", "conv_transpose", "conv_volume", "custom_vjp", "einsum"),
    *("embed", "fold_rngs", "instance_norm", "masked_attention", "mean", "one_hot"),
    *("param_float32", "perturb", "recurrent_frames", "scan_time", "spectral_norm", "switch"),
    *("tied_embed", "while_loop", "with_partitioning"),
)

_OF_NNX = frozenset({"supplied_rngs_argument"})

LINEN_FEATURES = tuple(name for name in FEATURES if name not in _OF_NNX)
"""The features that a generated linen module can show."""

# Features of a whole graph, by the features of nodes that bring them about.
_BY_NODES = {
    "state_stream_flag": ("count_steps", "dropout"),
    "tied_submodule": ("dense", "tied_submodule"),
}


def modules(
    *, max_nodes: int = 6, features: Collection[str] = (), without: Collection[str] = ()
) -> st.SearchStrategy[ModuleSpec]:
    """Draws specs of Flax modules.

    Every spec builds, and initialises and runs in both modes. The simplest is one `Dense`.

    Args:
        max_nodes: The most operations that are drawn freely; those that `features` asks for come
            on top.
        features: Features that every module shows, of `flaxlayer_testing.LINEN_FEATURES`.
        without: Features that no module shows.

    Returns:
        A strategy for specs.

    Raises:
        ReadSpecError: If a feature is not known or of nnx alone, or `max_nodes` is below 1.

    Example:

    ```python
    >>> from hypothesis import find
    >>> spec = find(modules(), lambda spec: True)
    >>> spec.nodes[0].op, spec.inputs
    ('dense', (ValueType(shape=(3,), dtype='float32'),))

    ```
    """
    lacking = sorted(_OF_NNX & set(features))
    if lacking:
        raise ReadSpecError(
            "No linen modules can be drawn.",
            expected="features that linen has",
            found=", ".join(lacking),
            fix="Draw them with `flaxlayer_testing.nnx_modules()`.",
            law="T1",
        )
    return specs(max_nodes, features, {*without, *_OF_NNX})


def specs(
    max_nodes: int, features: Collection[str], without: Collection[str]
) -> st.SearchStrategy[ModuleSpec]:
    """Draws specs of modules of linen or of nnx.

    Args:
        max_nodes: As for `modules`.
        features: As for `modules`.
        without: Features that no module shows; those that a framework lacks among them.

    Returns:
        A strategy for specs.

    Raises:
        ReadSpecError: If a feature is not known, or `max_nodes` is below 1.
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
    return once(_specs(max_nodes, frozenset(features), frozenset(without)))


@st.composite
def _specs(
    draw: st.DrawFn, max_nodes: int, features: frozenset[str], without: frozenset[str]
) -> ModuleSpec:
    drawer = Draw(draw)
    hoped = _draw_hopes(drawer, max_nodes, features, without)
    setup = bool({"setup", "several_methods"} & (features | hoped))
    drawn_setup = draw_style(drawer, Plan(max_nodes, without=without), needed=setup)
    wish = Wish(features, without, hoped, drawn_setup)
    parts = _parts(features | hoped)
    free = max_nodes - len(_parts(hoped))
    plan = Plan(free, parts, without, setup=drawn_setup)
    input_types = draw_inputs(drawer, parts, wish)
    if not parts and is_idle(input_types, wish):
        plan = replace(plan, stand_ins=allowed_inputs(wish))
    nodes, types = draw_nodes(drawer, input_types, plan)
    if not nodes:  # what was hoped for did not apply
        nodes, types = draw_nodes(drawer, input_types, replace(plan, max_nodes=1, needed=()))
    if not nodes:
        reject()
    input_types = tuple(types[: len(input_types)])
    spec = ModuleSpec(input_types, nodes, (0,), style="setup" if drawn_setup else "compact")
    spec = draw_outputs(drawer, spec, len(types), wish)
    spec = draw_methods(drawer, draw_flag(drawer, spec, features, without, hoped), wish)
    spec = draw_extras(drawer, spec, wish)
    shown = spec_traits(spec).features
    if not features <= shown or shown & without:
        reject()
    return spec


def _parts(features: frozenset[str]) -> tuple[str, ...]:
    # In the order of FEATURES, as the order of a set is not the same in every process.
    names = [name for name in FEATURES if name in features - OF_SIGNATURE]
    return tuple(part for name in names for part in _BY_NODES.get(name, (name,)))


def _draw_hopes(
    draw: Draw, max_nodes: int, features: frozenset[str], without: frozenset[str]
) -> frozenset[str]:
    """Draws features that a module shows if it can."""
    names = [name for name in (*FEATURES, *SELDOM) if name not in without]
    hoped: frozenset[str] = frozenset()
    for _ in range(draw.one_of(HOPES)):
        more = hoped | {draw.one_of(names)}
        if len(_parts(more)) <= max_nodes and not more <= features:
            hoped = more
    return hoped - features


@st.composite
def inputs(draw: st.DrawFn, spec: ModuleSpec, *, batch_size: int | None = None) -> tuple[Any, ...]:
    """Draws inputs for a module, from a seed: finite, token ids in range.

    Args:
        draw: Given by Hypothesis.
        spec: The module.
        batch_size: Size of their first dimension; one of 2, 1, 3, 5 if not given.

    Returns:
        The positional arguments of its method: one array for each input, or a pytree of them.
    """
    drawer = Draw(draw)
    size = drawer.one_of(BATCH_SIZES) if batch_size is None else batch_size
    return make_inputs(spec, size, drawer.number(SEEDS))


def cases(
    *,
    max_nodes: int = 6,
    features: Collection[str] = (),
    without: Collection[str] = (),
) -> st.SearchStrategy[Case]:
    """Draws cases: a module with all that a run of it needs.

    Args:
        max_nodes: As for `modules`.
        features: As for `modules`.
        without: As for `modules`.

    Returns:
        A strategy for cases, which serialise and replay.
    """
    return once(_cases(modules(max_nodes=max_nodes, features=features, without=without)))


@st.composite
def _cases(draw: st.DrawFn, specs: st.SearchStrategy[ModuleSpec]) -> Case:
    return draw_case(Draw(draw), draw(specs))


def draw_case(draw: Draw, spec: ModuleSpec) -> Case:
    """Draws all that a run of a module needs."""
    size, seed = draw.one_of(BATCH_SIZES), draw.number(SEEDS)
    unknown = draw.one_of(((), *dimensions(spec)))
    free = unknown if unknown and is_free(spec, unknown) else ()
    return Case(spec, size, seed, free, given=draw_given(draw, spec))


@st.composite
def variables(
    draw: st.DrawFn,
    *,
    case: Case | None = None,
    max_nodes: int = 6,
    features: Collection[str] = (),
    without: Collection[str] = (),
) -> tuple[Case, dict[str, Any]]:
    """Draws variables of a module, as if it had been trained, with the case that they belong to.

    Args:
        draw: Given by Hypothesis.
        case: The case; if not given, it is drawn as by `cases`.
        max_nodes: As for `modules`.
        features: As for `modules`.
        without: As for `modules`.

    Returns:
        The case, and a tree that raw `Module.apply` takes: params and state of the shapes and
        dtypes that `Module.init` gives them, metadata included. Params are of the size of one,
        state lies between zero and one, integers between 0 and 2.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import Node, ValueType
    >>> node = Node("prelu", (0,), (("param_dtype", "float32"),))
    >>> prelu = Case(ModuleSpec((ValueType((3,)),), (node,), (1,)))
    >>> from hypothesis import find
    >>> case, tree = find(variables(case=prelu), lambda drawn: True)
    >>> case == prelu, tree["params"]["PReLU_0"]["negative_slope"].shape
    (True, ())

    ```
    """
    if case is None:
        case = draw(cases(max_nodes=max_nodes, features=features, without=without))
    return case, make_variables(case, Draw(draw).number(SEEDS))
