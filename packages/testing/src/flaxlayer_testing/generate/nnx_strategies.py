"""Hypothesis strategies for nnx modules: the same specs, of what nnx has (T1)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from hypothesis import strategies as st

from flaxlayer_testing.errors import ReadSpecError
from flaxlayer_testing.generate.draw.drawer import Draw, once
from flaxlayer_testing.generate.strategies import draw_case, specs
from flaxlayer_testing.spec.features import FEATURES
from flaxlayer_testing.spec.frameworks import is_of
from flaxlayer_testing.spec.spec import Case, ModuleSpec

__all__ = ["NNX_FEATURES", "nnx_cases", "nnx_modules"]

_OF_LINEN = frozenset(
    {
        *("add_metadata_axis", "boxed_sum", "compact_name_scope", "cond", "conv_local"),
        *("custom_vjp", "fold_rngs", "guarded_average", "has_rng", "inference_trace"),
        *("inheritance", "lazy_state", "map_variables", "nowrap", "perturb", "recurrent_MGUCell"),
        *("recurrent_frames", "remat_scan", "scan_time", "share_scope", "sow_reducer", "switch"),
        *("training_trace", "while_loop", "with_logical_partitioning"),
    }
)

NNX_FEATURES = tuple(name for name in FEATURES if name not in _OF_LINEN)
"""The features that a generated nnx module can show."""


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
    _refuse_of_linen(features)
    return specs(max_nodes, features, {*without, *_OF_LINEN}).filter(
        lambda spec: is_of(spec, "nnx")
    )


def _is_of_nnx(spec: ModuleSpec) -> bool:
    return is_of(spec, "nnx")


def _refuse_of_linen(features: Collection[str]) -> None:
    lacking = sorted(set(features) & _OF_LINEN)
    if lacking:
        raise ReadSpecError(
            "No nnx modules can be drawn.",
            expected="features that nnx has: " + ", ".join(NNX_FEATURES),
            found=", ".join(lacking),
            fix="Draw them with `flaxlayer_testing.modules()`.",
            law="T1",
        )


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
    specs = nnx_modules(max_nodes=max_nodes, features=features, without=without)
    return once(_nnx_cases(specs, instance))


@st.composite
def _nnx_cases(
    draw: st.DrawFn, specs: st.SearchStrategy[ModuleSpec], instance: bool | None
) -> Case:
    case = draw_case(Draw(draw), draw(specs))
    either = Draw(draw).one_of((False, True))
    return replace(case, framework="nnx", instance=either if instance is None else instance)
