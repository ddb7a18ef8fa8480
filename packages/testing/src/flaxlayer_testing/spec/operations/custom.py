"""Operations over functions of `render/pieces`: custom state, rng streams, sown values."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flaxlayer_testing.spec.operations.forms import Form, Site, Text, nnx_on_variable, with_module
from flaxlayer_testing.spec.operations.operation import (
    Choices,
    Operation,
    Part,
    Traits,
    Types,
    is_float,
)
from flaxlayer_testing.spec.spec import Json, Options, ValueType

__all__ = ["PART", "on_floats"]


def _any_float(types: Types) -> Choices | None:
    return {} if is_float(types[0]) and types[0].shape else None


def on_floats(**choices: tuple[Json, ...]) -> Callable[[Types], Choices | None]:
    """Returns the choices of an operation on floating values of any rank but zero."""
    return lambda types: None if _any_float(types) is None else choices


def _same(types: Types, options: Options) -> tuple[ValueType, ...]:
    return (types[0],)


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
    nnx: Form | None = None,
) -> Operation:
    linen = Form(with_module(name, named=named, flag=flag))
    return Operation(
        name=name,
        weight=weight,
        choices=on_floats(**(choices or {})),
        results=_same,
        forms={"linen": linen, **({"nnx": nnx} if nnx else {})},
        traits=traits,
        compact=compact,
        fixed=lambda _: fixed,
    )


def _sown(collection: str, *features: str) -> Callable[[Options], Traits]:
    traits = Traits(features=frozenset(features), transient=frozenset({collection}))
    return lambda _: traits


def _counter(kind: str) -> Text:
    return lambda _: f"{kind}(jnp.zeros((), jnp.int32))"


def _nnx_averages(site: Site) -> str:
    return f"Averages(jnp.zeros({site.size}), source='features')"


def _nnx_stream(site: Site) -> str:
    return f"rngs[{site.options['stream']!r}].fork()"


STREAMS = ("noise", "dropout")

# What faulty layers often break is drawn more often: a search has to find it in a few modules.
PART = Part(
    place=5,
    features={
        "variables": {
            "always_noise": "a custom rng stream that both modes draw from",
            "boxed_sum": "state with partition metadata",
            "count_calls": "a counter that both modes change",
            "count_steps": "a counter that training changes",
            "custom_state": "a collection of the module's own",
            "custom_stream": "an rng stream of the module's own",
            "guarded_average": "state that changes whenever its collection is mutable",
            "has_rng": "a stream that is drawn from where it is there",
            "inference_trace": "state that only inference makes",
            "lazy_state": "state that only one mode makes",
            "moving_average": "a moving average that training changes",
            "perturb": "a hidden value whose gradient can be read",
            "sow": "sown values",
            "sow_in_training": "losses that are sown in training only",
            "sow_loss": "a sown loss",
            "sow_reducer": "values sown by a reducer that keeps their structure",
            "sow_value": "a sown intermediate",
            "training_noise": "a custom rng stream that training draws from",
            "training_trace": "state that only training makes",
        },
    },
    operations=(
        _op(
            "count_steps",
            _state("counters", "count_steps", flag=True),
            choices={"at_init": (False, True)},
            flag=True,
            weight=3,
            nnx=Form(nnx_on_variable("count_steps", flag=True), _counter("Steps")),
        ),
        _op(
            "count_calls",
            _state("calls", "count_calls"),
            nnx=Form(nnx_on_variable("count_calls"), _counter("Calls")),
        ),
        _op(
            "moving_average",
            _state("averages", "moving_average", flag=True),
            choices={"decay": (0.5, 0.75)},
            flag=True,
            fixed=1,
            nnx=Form(nnx_on_variable("moving_average", flag=True), _nnx_averages),
        ),
        _op("guarded_average", _state("levels", "guarded_average"), weight=6),
        _op(
            "training_trace", _state("peaks", "training_trace", "lazy_state", flag=True), flag=True
        ),
        _op(
            "inference_trace",
            _state("totals", "inference_trace", "lazy_state", flag=True),
            flag=True,
        ),
        _op("boxed_sum", _state("sums", "boxed_sum", "partition_metadata"), fixed=1),
        _op(
            "training_noise",
            _training_noise_traits,
            choices={"stream": STREAMS},
            named=False,
            flag=True,
            compact=False,
            nnx=Form(nnx_on_variable("training_noise", flag=True), _nnx_stream),
        ),
        _op(
            "always_noise",
            _always_noise_traits,
            choices={"stream": ("sample", "noise")},
            named=False,
            compact=False,
            nnx=Form(nnx_on_variable("always_noise"), _nnx_stream),
        ),
        _op(
            "optional_noise",
            lambda options: _training_noise_traits(options, "has_rng"),
            choices={"stream": STREAMS},
            named=False,
            flag=True,
            compact=False,
        ),
        _op(
            "sow_value",
            _sown("intermediates", "sow", "sow_value"),
            compact=False,
            weight=2,
            nnx=Form(with_module("sow_value", named=True)),
        ),
        _op(
            "sow_loss",
            _loss_traits,
            choices={"at_inference": (True, False)},
            flag=True,
            compact=False,
            weight=7,
            nnx=Form(with_module("sow_loss", named=True, flag=True)),
        ),
        _op("sow_total", _state("metrics", "sow_reducer"), compact=False),
        _op("perturbed", _sown("perturbations", "perturb"), fixed=-1),
    ),
)
