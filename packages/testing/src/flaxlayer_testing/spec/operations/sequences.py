"""Layers over sequences: attention, with and without a cache, and recurrent cells."""

from __future__ import annotations

from flaxlayer_testing.spec.operations.operation import (
    Choices,
    Operation,
    Site,
    Traits,
    Types,
    constructor,
    integer,
)
from flaxlayer_testing.spec.spec import Options, ValueType

__all__ = ["SEQUENCES", "attention_traits", "is_sequence"]

CELLS = ("SimpleCell", "GRUCell", "MGUCell", "LSTMCell", "OptimizedLSTMCell")


def is_sequence(value: ValueType) -> bool:
    """Tells whether a value is a sequence of vectors."""
    return value.dtype == "float32" and len(value.shape) == 2


def _attention_choices(types: Types) -> Choices | None:
    if not is_sequence(types[0]):
        return None
    return {"num_heads": (1, 2), "qkv_features": (4,), "dropout_rate": (0.0, 0.5)}


def _cross_choices(types: Types) -> Choices | None:
    return _attention_choices(types) if is_sequence(types[1]) else None


def attention_traits(*features: str, options: Options) -> Traits:
    """Returns the traits of attention that may drop weights."""
    plain = Traits(features=frozenset(features), trainable=True, uses_flag=True)
    if not options.get("dropout_rate"):
        return plain
    dropped = frozenset({"attention_dropout"})
    return plain | Traits(features=dropped, training_streams=frozenset({"dropout"}))


def _causal_arguments(site: Site) -> str:
    x = site.args[0]
    return f"{x}, mask=nn.make_causal_mask({x}[..., 0])"


def _decode_choices(types: Types) -> Choices | None:
    return {"num_heads": (1, 2)} if is_sequence(types[0]) else None


def _decode_text(site: Site) -> str:
    return f"decode_step(self, {site.args[0]}, num_heads={site.options['num_heads']})"


def _recurrent_choices(types: Types) -> Choices | None:
    if not is_sequence(types[0]):
        return None
    return {"cell": CELLS, "features": (2, 3), "reverse": (False, True)}


def _recurrent_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    return (ValueType((types[0].shape[0], integer(options["features"]))),)


def _recurrent_text(site: Site) -> str:
    cell = f"nn.{site.options['cell']}({site.options['features']})"
    return f"nn.RNN({cell}, reverse={site.options['reverse']}, keep_order=True)"


def _recurrent_traits(options: Options) -> Traits:
    cell = str(options["cell"])
    return Traits(features=frozenset({"recurrent", f"recurrent_{cell}"}), trainable=True)


def _bidirectional_choices(types: Types) -> Choices | None:
    return {"forward": CELLS, "backward": CELLS} if is_sequence(types[0]) else None


def _bidirectional_text(site: Site) -> str:
    names = (site.options["forward"], site.options["backward"])
    return f"nn.Bidirectional({', '.join(f'nn.RNN(nn.{name}(2))' for name in names)})"


def _frames_choices(types: Types) -> Choices | None:
    fits = types[0].dtype == "float32" and len(types[0].shape) in (3, 4)
    return {"features": (2,)} if fits else None


def _frames_text(site: Site) -> str:
    # The first dimension is time, the last features, and the kernel covers what lies between.
    features, sizes = site.options["features"], f"(2,) * ({site.args[0]}.ndim - 3)"
    return f"nn.RNN(nn.ConvLSTMCell({features}, {sizes}))({site.args[0]})"


SEQUENCES = (
    Operation(
        name="attention",
        weight=3,
        choices=_attention_choices,
        results=lambda types, _: (types[0],),
        layer=constructor("MultiHeadDotProductAttention"),
        mode="deterministic",
        traits=lambda options: attention_traits("attention", options=options),
    ),
    Operation(
        name="cross_attention",
        weight=2,
        arity=2,
        choices=_cross_choices,
        results=lambda types, _: (types[0],),
        layer=constructor("MultiHeadAttention"),
        mode="deterministic",
        traits=lambda options: attention_traits("cross_attention", options=options),
    ),
    Operation(
        name="causal_attention",
        weight=2,
        choices=_attention_choices,
        results=lambda types, _: (types[0],),
        layer=constructor("MultiHeadDotProductAttention"),
        arguments=_causal_arguments,
        mode="deterministic",
        traits=lambda options: attention_traits("causal_attention", options=options),
    ),
    Operation(
        name="decode",
        weight=4,
        choices=_decode_choices,
        results=lambda types, _: (ValueType((1, types[0].shape[-1])),),
        text=_decode_text,
        compact=True,
        fixed=lambda _: -1,
        traits=lambda _: Traits(
            features=frozenset({"decode_cache"}), trainable=True, state=frozenset({"cache"})
        ),
    ),
    Operation(
        name="recurrent",
        weight=8,
        choices=_recurrent_choices,
        results=_recurrent_results,
        layer=_recurrent_text,
        traits=_recurrent_traits,
    ),
    Operation(
        name="bidirectional",
        weight=2,
        choices=_bidirectional_choices,
        results=lambda types, _: (ValueType((types[0].shape[0], 4)),),
        layer=_bidirectional_text,
        traits=lambda _: Traits(features=frozenset({"bidirectional"}), trainable=True),
    ),
    Operation(
        name="recurrent_frames",
        weight=2,
        choices=_frames_choices,
        results=lambda types, options: (
            ValueType((*types[0].shape[:-1], integer(options["features"]))),
        ),
        text=_frames_text,
        compact=True,
        traits=lambda _: Traits(
            features=frozenset({"recurrent", "recurrent_frames"}), trainable=True
        ),
    ),
)
