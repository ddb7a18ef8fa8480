"""Operations over the lifted transforms that branch, loop and differentiate."""

from __future__ import annotations

from flaxlayer_testing.spec.operations.forms import Form, Site, with_module
from flaxlayer_testing.spec.operations.linear import float_rank, same_shape
from flaxlayer_testing.spec.operations.operation import (
    Choices,
    Operation,
    Part,
    Traits,
    Types,
    is_float,
)
from flaxlayer_testing.spec.spec import Options, ValueType

__all__ = ["PART"]


def _choices(types: Types) -> Choices | None:
    return {} if float_rank(types, 1, 2) else None


def _loop_choices(types: Types) -> Choices | None:
    return {} if is_float(types[0]) and types[0].shape else None


def _results(types: Types, options: Options) -> tuple[ValueType, ...]:
    # Parameters are float32, and so is what they meet.
    return same_shape(types, {})


def _traits(feature: str, *state: str) -> Traits:
    return Traits(features=frozenset({feature}), trainable=True, state=frozenset(state))


def _fold_text(site: Site) -> str:
    rate, x = site.options["rate"], site.args[0]
    return f"fold_streams({x}, rate={rate}, training={site.training})"


PART = Part(
    place=8,
    features={
        "transforms": {
            "cond": "nn.cond, with state",
            "custom_vjp": "nn.custom_vjp",
            "fold_rngs": "nn.fold_rngs",
            "switch": "nn.switch",
            "while_loop": "nn.while_loop, with state",
        },
    },
    operations=(
        Operation(
            name="loop",
            choices=_loop_choices,
            results=lambda types, _: (types[0],),
            forms={"linen": Form(with_module("loop", named=True))},
            compact=True,
            fixed=lambda _: 0,
            traits=lambda _: Traits(
                features=frozenset({"while_loop", "custom_state"}), state=frozenset({"rounds"})
            ),
        ),
        Operation(
            name="branch",
            choices=_choices,
            results=_results,
            forms={"linen": Form(with_module("branch", named=True))},
            compact=True,
            traits=lambda _: _traits("cond", "branches"),
        ),
        Operation(
            name="choose",
            choices=_choices,
            results=_results,
            forms={"linen": Form(with_module("choose"))},
            compact=True,
            traits=lambda _: _traits("switch"),
        ),
        Operation(
            name="double_gradient",
            choices=_choices,
            results=_results,
            forms={"linen": Form(lambda site: f"double_gradient({site.args[0]})")},
            compact=True,
            traits=lambda _: _traits("custom_vjp"),
        ),
        Operation(
            name="fold_streams",
            needs="fold_rngs",
            choices=lambda types: {"rate": (0.5,)} if float_rank(types, 1, 2) else None,
            results=lambda types, _: (types[0],),
            forms={"linen": Form(_fold_text)},
            compact=True,
            fixed=lambda _: 0,
            traits=lambda _: Traits(
                features=frozenset({"fold_rngs"}),
                training_streams=frozenset({"dropout"}),
                uses_flag=True,
            ),
        ),
    ),
)
