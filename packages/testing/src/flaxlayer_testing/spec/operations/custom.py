"""Operations over the functions of `blocks`: custom state, rng streams, sown values."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flaxlayer_testing.spec.operations.operation import (
    Choices,
    Operation,
    Site,
    Traits,
    Types,
    is_float,
)
from flaxlayer_testing.spec.spec import Json, Options, ValueType

__all__ = ["CUSTOM", "block", "on_floats"]


def _any_float(types: Types) -> Choices | None:
    return {} if is_float(types[0]) and types[0].shape else None


def on_floats(**choices: tuple[Json, ...]) -> Callable[[Types], Choices | None]:
    """Returns the choices of an operation on floating values of any rank but zero."""
    return lambda types: None if _any_float(types) is None else choices


def _same(types: Types, options: Options) -> tuple[ValueType, ...]:
    return (types[0],)


def block(function: str, *, named: bool = False, flag: bool = False) -> Callable[[Site], str]:
    """Returns what makes the text of a call of a function of `blocks` with the module itself.

    Args:
        function: Its name.
        named: Whether it takes a name for its variables.
        flag: Whether it takes the mode.

    Returns:
        The text of the call at a site.
    """

    def text(site: Site) -> str:
        keywords = {"name": repr(f"{function}_{site.index}")} if named else {}
        keywords |= {"training": site.training} if flag else {}
        keywords |= {key: repr(value) for key, value in site.options.items()}
        arguments = ["self", *site.args, *(f"{key}={value}" for key, value in keywords.items())]
        return f"{function}({', '.join(arguments)})"

    return text


def _state(collection: str, *features: str, flag: bool = False) -> Callable[[Options], Traits]:
    traits = Traits(
        features=frozenset({"custom_state", *features}),
        state=frozenset({collection}),
        uses_flag=flag,
    )
    return lambda _: traits


def _loss_traits(options: Options) -> Traits:
    always = bool(options["at_inference"])
    features = {"sow", "sow_loss"} if always else {"sow", "sow_loss", "sow_in_training"}
    return Traits(features=frozenset(features), transient=frozenset({"losses"}), uses_flag=True)


def _training_noise_traits(options: Options, feature: str = "training_noise") -> Traits:
    return Traits(
        features=frozenset({"custom_stream", feature}),
        training_streams=frozenset({str(options["stream"])}),
        uses_flag=True,
    )


def _always_noise_traits(options: Options) -> Traits:
    return Traits(
        features=frozenset({"custom_stream", "always_noise"}),
        always_streams=frozenset({str(options["stream"])}),
    )


def _op(
    name: str,
    traits: Callable[[Options], Traits],
    *,
    choices: Mapping[str, tuple[Json, ...]] | None = None,
    named: bool = True,
    flag: bool = False,
    compact: bool = True,
    fixed: int = 0,
    weight: int = 1,
) -> Operation:
    return Operation(
        name=name,
        weight=weight,
        choices=on_floats(**(choices or {})),
        results=_same,
        text=block(name, named=named, flag=flag),
        traits=traits,
        compact=compact,
        fixed=lambda _: fixed,
    )


def _sown(collection: str, *features: str) -> Callable[[Options], Traits]:
    traits = Traits(features=frozenset(features), transient=frozenset({collection}))
    return lambda _: traits


STREAMS = ("noise", "dropout")

# What faulty layers often break is drawn more often: a search has to find it in a few modules.
CUSTOM = (
    _op(
        "count_steps",
        _state("counters", "count_steps", flag=True),
        choices={"at_init": (False, True)},
        flag=True,
        weight=3,
    ),
    _op("count_calls", _state("calls", "count_calls")),
    _op(
        "moving_average",
        _state("averages", "moving_average", flag=True),
        choices={"decay": (0.5, 0.75)},
        flag=True,
        fixed=1,
    ),
    _op("guarded_average", _state("levels", "guarded_average"), weight=6),
    _op("training_trace", _state("peaks", "training_trace", "lazy_state", flag=True), flag=True),
    _op("inference_trace", _state("totals", "inference_trace", "lazy_state", flag=True), flag=True),
    _op("boxed_sum", _state("sums", "boxed_sum", "partition_metadata"), fixed=1),
    _op(
        "training_noise",
        _training_noise_traits,
        choices={"stream": STREAMS},
        named=False,
        flag=True,
        compact=False,
    ),
    _op(
        "always_noise",
        _always_noise_traits,
        choices={"stream": ("sample", "noise")},
        named=False,
        compact=False,
    ),
    _op(
        "optional_noise",
        lambda options: _training_noise_traits(options, "has_rng"),
        choices={"stream": STREAMS},
        named=False,
        flag=True,
        compact=False,
    ),
    _op("sow_value", _sown("intermediates", "sow", "sow_value"), compact=False, weight=2),
    _op(
        "sow_loss",
        _loss_traits,
        choices={"at_inference": (True, False)},
        flag=True,
        compact=False,
        weight=7,
    ),
    _op("sow_total", _state("metrics", "sow_reducer"), compact=False),
    _op("perturbed", _sown("perturbations", "perturb"), fixed=-1),
)
