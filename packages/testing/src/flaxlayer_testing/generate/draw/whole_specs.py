"""Draws whole specs, of what a framework has (T1)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

from hypothesis import reject
from hypothesis import strategies as st

from flaxlayer_testing.errors import ReadSpecError
from flaxlayer_testing.generate.draw.arguments import draw_extras
from flaxlayer_testing.generate.draw.candidates import Plan
from flaxlayer_testing.generate.draw.drawer import Draw, once
from flaxlayer_testing.generate.draw.graphs import draw_flag, draw_nodes, draw_style, fitting_flags
from flaxlayer_testing.generate.draw.interfaces import (
    OF_SIGNATURE,
    Wish,
    allowed_inputs,
    draw_inputs,
    draw_methods,
    draw_outputs,
    is_idle,
)
from flaxlayer_testing.generate.draw.offers import features_of, lacking_of
from flaxlayer_testing.spec.features import FEATURES
from flaxlayer_testing.spec.frameworks import is_of
from flaxlayer_testing.spec.spec import FRAMEWORKS, ModuleSpec
from flaxlayer_testing.spec.traits import spec_traits

__all__ = ["specs_of"]

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

# Features of a whole graph, by the features of nodes that bring them about.
_BY_NODES = {
    "state_stream_flag": ("count_steps", "dropout"),
    "tied_submodule": ("dense", "tied_submodule"),
}


def specs_of(
    framework: str, max_nodes: int, features: Collection[str], without: Collection[str]
) -> st.SearchStrategy[ModuleSpec]:
    """Draws specs of modules of a framework.

    Args:
        framework: `"linen"` or `"nnx"`.
        max_nodes: The most operations that are drawn freely.
        features: Features that every module shows.
        without: Features that no module shows, beside those that the framework lacks.

    Returns:
        A strategy for specs.

    Raises:
        ReadSpecError: If a feature is not known or the framework lacks it, or `max_nodes` is below
            1.
    """
    _require_of(framework, features)
    unknown = sorted({*features, *without} - set(FEATURES))
    if unknown or max_nodes < 1:
        raise ReadSpecError(
            "No modules can be drawn.",
            expected="names of features, and at least one node; known: " + ", ".join(FEATURES),
            found=f"max_nodes={max_nodes}, unknown features {unknown}",
            fix="Correct the name.",
            law="T1",
        )
    left_out = frozenset({*without, *lacking_of(framework)})
    drawn = once(_specs(max_nodes, frozenset(features), left_out))
    return drawn.filter(partial(is_of, framework=framework))


def _require_of(framework: str, features: Collection[str]) -> None:
    lacking = lacking_of(framework) & set(features)
    if lacking:
        others = [name for name in FRAMEWORKS if not lacking_of(name) & set(features)]
        raise ReadSpecError(
            f"No {framework} modules can be drawn.",
            expected=f"features that {framework} has: " + ", ".join(features_of(framework)),
            found=", ".join(sorted(lacking)),
            fix=f"Draw modules of {others[0]}." if others else "Ask for them one by one.",
            law="T1",
        )


@st.composite
def _specs(
    draw: st.DrawFn, max_nodes: int, features: frozenset[str], without: frozenset[str]
) -> ModuleSpec:
    drawer = Draw(draw)
    if features & without or (_asks_for_flag(features) and not fitting_flags(features, without)):
        reject()  # before anything is drawn: no module shows them
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


def _asks_for_flag(features: frozenset[str]) -> bool:
    return any(name.startswith("flag") for name in features)


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
