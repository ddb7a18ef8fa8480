"""Hypothesis strategies for modules, inputs, variables and cases (T1)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from flaxlayer_testing.generate.draw.arguments import draw_given
from flaxlayer_testing.generate.draw.drawer import Draw, once
from flaxlayer_testing.generate.draw.offers import features_of
from flaxlayer_testing.generate.draw.whole_specs import specs_of
from flaxlayer_testing.render.building import make_inputs, make_variables
from flaxlayer_testing.render.dialects import DIALECTS
from flaxlayer_testing.spec.freedom import dimensions, is_free
from flaxlayer_testing.spec.spec import Case, ModuleSpec

__all__ = [
    "LINEN_FEATURES",
    "NNX_FEATURES",
    "cases",
    "cases_of",
    "inputs",
    "modules",
    "nnx_cases",
    "nnx_modules",
    "variables",
]

BATCH_SIZES = (2, 1, 3, 5)
SEEDS = 2**16

LINEN_FEATURES = features_of("linen")
"""The features that a generated linen module can show."""

NNX_FEATURES = features_of("nnx")
"""The features that a generated nnx module can show."""


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
    return specs_of("linen", max_nodes, features, without)


def nnx_modules(
    *, max_nodes: int = 6, features: Collection[str] = (), without: Collection[str] = ()
) -> st.SearchStrategy[ModuleSpec]:
    """Draws specs of which nnx modules can be built, too.

    Args:
        max_nodes: As for `modules`.
        features: Features that every module shows, of `flaxlayer_testing.NNX_FEATURES`.
        without: Features that no module shows.

    Returns:
        A strategy for specs that `build_nnx_module` takes. The simplest is one `nnx.Linear`.

    Raises:
        ReadSpecError: If a feature is not known, or `max_nodes` is below 1.

    Example:

    ```python
    >>> from hypothesis import find
    >>> find(nnx_modules(), lambda spec: True).nodes[0].op
    'dense'

    ```
    """
    return specs_of("nnx", max_nodes, features, without)


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
    return cases_of("linen", max_nodes=max_nodes, features=features, without=without)


def nnx_cases(
    *,
    max_nodes: int = 6,
    features: Collection[str] = (),
    without: Collection[str] = (),
    instance: bool | None = None,
) -> st.SearchStrategy[Case]:
    """Draws cases of nnx modules.

    Args:
        max_nodes: As for `modules`.
        features: As for `nnx_modules`.
        without: As for `nnx_modules`.
        instance: Whether the module is an object, not what makes one; None for either.

    Returns:
        A strategy for cases, which serialise and replay.
    """
    return cases_of(
        "nnx", max_nodes=max_nodes, features=features, without=without, instance=instance
    )


def cases_of(
    framework: str,
    *,
    max_nodes: int = 6,
    features: Collection[str] = (),
    without: Collection[str] = (),
    instance: bool | None = None,
) -> st.SearchStrategy[Case]:
    """Draws cases of modules of a framework.

    Args:
        framework: `"linen"` or `"nnx"`.
        max_nodes: As for `modules`.
        features: As for `modules`, of those that the framework has.
        without: As for `modules`.
        instance: Where a module may be an object with values: whether it is; None for either.

    Returns:
        A strategy for cases, which serialise and replay.

    Raises:
        ReadSpecError: If a feature is not known or the framework lacks it, or `max_nodes` is below
            1.
    """
    return once(_cases(framework, specs_of(framework, max_nodes, features, without), instance))


@st.composite
def _cases(
    draw: st.DrawFn, framework: str, specs: st.SearchStrategy[ModuleSpec], instance: bool | None
) -> Case:
    drawer = Draw(draw)
    case = replace(_draw_case(drawer, draw(specs)), framework=framework)
    if not DIALECTS[framework].has_objects:
        return case
    either = drawer.one_of((False, True))
    return replace(case, instance=either if instance is None else instance)


def _draw_case(draw: Draw, spec: ModuleSpec) -> Case:
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
