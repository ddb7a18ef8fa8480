"""Operations on a sequence and a mask of its elements."""

from __future__ import annotations

from flaxlayer_testing.spec.operations.forms import (
    Site,
    in_both,
    layer,
    linen_stock,
    nnx_stock,
)
from flaxlayer_testing.spec.operations.norms import EPSILON
from flaxlayer_testing.spec.operations.operation import (
    Choices,
    Operation,
    Part,
    Traits,
    Types,
    is_float,
    shows,
)
from flaxlayer_testing.spec.operations.sequences import (
    attention_traits,
    is_sequence,
    nnx_attention,
    nnx_rnn,
)
from flaxlayer_testing.spec.spec import Options, ValueType

__all__ = ["PART", "fits_mask", "is_mask"]


def is_mask(value: ValueType) -> bool:
    """Tells whether a value is a mask: one boolean for each element of a sequence."""
    return value.dtype == "bool" and len(value.shape) == 1


def fits_mask(value: ValueType, mask: ValueType) -> bool:
    """Tells whether a value is a sequence that a mask is of."""
    return (
        is_mask(mask)
        and is_float(value)
        and len(value.shape) == 2
        and value.shape[:1] == mask.shape
    )


def _choices(types: Types) -> Choices | None:
    return {} if fits_mask(*types) else None


def _single_choices(types: Types) -> Choices | None:
    return {} if fits_mask(*types) and is_sequence(types[0]) else None


def _attention_choices(types: Types) -> Choices | None:
    if _single_choices(types) is None:
        return None
    return {"num_heads": (1, 2), "qkv_features": (4,), "dropout_rate": (0.0, 0.5)}


def _attention_arguments(site: Site) -> str:
    x, mask = site.args
    return f"{x}, mask={site.flax}.make_attention_mask({mask}, {mask})"


def _norm_arguments(site: Site) -> str:
    x, mask = site.args
    return f"{x}, mask={mask}[..., None]"


def _lengths_arguments(site: Site) -> str:
    x, mask = site.args
    return f"{x}, seq_lengths=jnp.sum({mask}, axis=-1)"


def _same(types: Types, options: Options) -> tuple[ValueType, ...]:
    return (types[0],)


def _function(name: str, feature: str, *, mean: bool = False) -> Operation:
    return Operation(
        name=name,
        arity=2,
        weight=7,
        choices=_choices,
        results=lambda types, _: (ValueType(types[0].shape[mean:], types[0].dtype),),
        forms=in_both(lambda site: f"{name}({', '.join(site.args)})"),
        traits=shows("mask", feature),
        fixed=lambda _: 0,
    )


PART = Part(
    place=9,
    features={
        "sequences": {
            "apply_mask": "masked elements set to zero",
            "mask": "a layer or function of a value and its mask",
            "masked_attention": "attention under a mask that comes from outside",
            "masked_mean": "a mean of what is not masked",
            "masked_norm": "BatchNorm of what is not masked",
            "masked_recurrent": "a recurrent layer over sequences of different lengths",
        },
    },
    operations=(
        _function("apply_mask", "apply_mask"),
        _function("masked_mean", "masked_mean", mean=True),
        Operation(
            name="masked_attention",
            arity=2,
            weight=6,
            choices=_attention_choices,
            results=_same,
            forms={
                "linen": layer(
                    linen_stock("MultiHeadDotProductAttention"),
                    arguments=_attention_arguments,
                    mode="deterministic",
                ),
                "nnx": layer(nnx_attention, arguments=_attention_arguments),
            },
            traits=lambda options: attention_traits("mask", "masked_attention", options=options),
        ),
        Operation(
            name="masked_norm",
            arity=2,
            weight=6,
            choices=_single_choices,
            results=_same,
            forms={
                "linen": layer(
                    linen_stock("BatchNorm", epsilon=EPSILON),
                    arguments=_norm_arguments,
                    mode="use_running_average",
                ),
                "nnx": layer(nnx_stock("BatchNorm", epsilon=EPSILON), arguments=_norm_arguments),
            },
            traits=lambda _: Traits(
                features=frozenset({"mask", "masked_norm"}),
                trainable=True,
                state=frozenset({"batch_stats"}),
                uses_flag=True,
            ),
        ),
        Operation(
            name="masked_recurrent",
            arity=2,
            weight=6,
            choices=_single_choices,
            results=lambda types, _: (ValueType((types[0].shape[0], 3)),),
            forms={
                "linen": layer(
                    lambda _: "nn.RNN(nn.GRUCell(3), reverse=True)", arguments=_lengths_arguments
                ),
                "nnx": layer(
                    lambda site: nnx_rnn("GRUCell", site.size, 3, "reverse=True"),
                    arguments=_lengths_arguments,
                ),
            },
            traits=lambda _: Traits(
                features=frozenset({"mask", "masked_recurrent"}), trainable=True
            ),
        ),
    ),
)
