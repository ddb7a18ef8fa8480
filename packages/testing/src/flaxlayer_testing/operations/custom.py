"""Operations over the functions of `blocks`: custom state, streams, sown values, tied weights."""

from __future__ import annotations

from collections.abc import Callable

from flaxlayer_testing.operations.base import (
    VOCABULARY,
    Choices,
    Operation,
    Site,
    Traits,
    Types,
    is_float,
)
from flaxlayer_testing.specs import Json, Options, ValueType

__all__ = ["CUSTOM"]


def _any_float(types: Types) -> Choices | None:
    return {} if is_float(types[0]) and types[0].shape else None


def _on_floats(**choices: tuple[Json, ...]) -> Callable[[Types], Choices | None]:
    return lambda types: None if _any_float(types) is None else choices


def _same(types: Types, options: Options) -> tuple[ValueType, ...]:
    return (types[0],)


def _block(function: str, *, named: bool = False, flag: bool = False) -> Callable[[Site], str]:
    def text(site: Site) -> str:
        keywords = {"name": repr(f"{function}_{site.index}")} if named else {}
        keywords |= {"training": site.training} if flag else {}
        keywords |= {key: repr(value) for key, value in site.options.items()}
        arguments = ["self", *site.args, *(f"{key}={value}" for key, value in keywords.items())]
        return f"{function}({', '.join(arguments)})"

    return text


def _tied(function: str) -> Callable[[Site], str]:
    def text(site: Site) -> str:
        keywords = [f"{key}={value!r}" for key, value in site.options.items()]
        return f"{function}({', '.join([*site.args, *keywords])})"

    return text


def _state(collection: str, feature: str, *, flag: bool = False) -> Callable[[Options], Traits]:
    traits = Traits(
        features=frozenset({"custom_state", feature}),
        state=frozenset({collection}),
        uses_flag=flag,
    )
    return lambda _: traits


def _loss_traits(options: Options) -> Traits:
    always = bool(options["at_inference"])
    features = {"sow", "sow_loss"} if always else {"sow", "sow_loss", "sow_in_training"}
    return Traits(features=frozenset(features), transient=frozenset({"losses"}), uses_flag=True)


def _training_noise_traits(options: Options) -> Traits:
    return Traits(
        features=frozenset({"custom_stream", "training_noise"}),
        training_streams=frozenset({str(options["stream"])}),
        uses_flag=True,
    )


def _always_noise_traits(options: Options) -> Traits:
    return Traits(
        features=frozenset({"custom_stream", "always_noise"}),
        always_streams=frozenset({str(options["stream"])}),
    )


def _tied_choices(types: Types) -> Choices | None:
    if _any_float(types) is None:
        return None
    return {"features": (types[0].shape[-1],)}


def _tied_embed_choices(types: Types) -> Choices | None:
    return None if is_float(types[0]) else {"num_embeddings": (VOCABULARY,), "features": (2, 3)}


def _promoted(types: Types, options: Options) -> tuple[ValueType, ...]:
    # Parameters are float32, and so is what they meet.
    return (ValueType(types[0].shape),)


_TIED = Traits(features=frozenset({"tied"}), trainable=True)

CUSTOM = (
    Operation(
        name="count_steps",
        weight=2,
        choices=_on_floats(at_init=(False, True)),
        results=_same,
        text=_block("count_steps", named=True, flag=True),
        traits=_state("counters", "count_steps", flag=True),
    ),
    Operation(
        name="count_calls",
        choices=_on_floats(),
        results=_same,
        text=_block("count_calls", named=True),
        traits=_state("calls", "count_calls"),
    ),
    Operation(
        name="moving_average",
        choices=_on_floats(decay=(0.5, 0.75)),
        results=_same,
        text=_block("moving_average", named=True, flag=True),
        traits=_state("averages", "moving_average", flag=True),
    ),
    Operation(
        name="guarded_average",
        choices=_on_floats(),
        results=_same,
        text=_block("guarded_average", named=True),
        traits=_state("levels", "guarded_average"),
    ),
    Operation(
        name="training_noise",
        choices=_on_floats(stream=("noise", "dropout")),
        results=_same,
        text=_block("training_noise", flag=True),
        traits=_training_noise_traits,
    ),
    Operation(
        name="always_noise",
        choices=_on_floats(stream=("sample", "noise")),
        results=_same,
        text=_block("always_noise"),
        traits=_always_noise_traits,
    ),
    Operation(
        name="sow_value",
        choices=_on_floats(),
        results=_same,
        text=_block("sow_value", named=True),
        traits=lambda _: Traits(
            features=frozenset({"sow", "sow_value"}), transient=frozenset({"intermediates"})
        ),
    ),
    Operation(
        name="sow_loss",
        weight=2,
        choices=_on_floats(at_inference=(True, False)),
        results=_same,
        text=_block("sow_loss", named=True, flag=True),
        traits=_loss_traits,
    ),
    Operation(
        name="tied_dense",
        choices=_tied_choices,
        results=_promoted,
        text=_tied("tied_dense"),
        traits=lambda _: _TIED,
    ),
    Operation(
        name="tied_embed",
        choices=_tied_embed_choices,
        results=lambda types, _: (ValueType((*types[0].shape, VOCABULARY)),),
        text=_tied("tied_embed"),
        traits=lambda _: _TIED | Traits(features=frozenset({"tied_embed"})),
    ),
)
