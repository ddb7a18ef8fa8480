"""Layers over sequences: attention, with and without a cache, and recurrent cells."""

from __future__ import annotations

from dataclasses import replace

from flaxlayer_testing.spec.operations.forms import CACHE, Form, Site, layer, linen_stock
from flaxlayer_testing.spec.operations.operation import (
    Choices,
    Operation,
    Part,
    Traits,
    Types,
    integer,
)
from flaxlayer_testing.spec.spec import Json, Options, ValueType

__all__ = ["PART", "attention_traits", "is_sequence", "nnx_attention", "nnx_rnn"]

CELLS = ("SimpleCell", "GRUCell", "MGUCell", "LSTMCell", "OptimizedLSTMCell")
_OF_LINEN: frozenset[Json] = frozenset({"MGUCell"})


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


def nnx_attention(site: Site) -> str:
    """Returns the text that makes attention of one sequence, or of two."""
    heads, rate = site.options["num_heads"], site.options["dropout_rate"]
    other = [f"in_kv_features={value.shape[-1]}" for value in site.types[1:2] if value.shape[1:]]
    parts = [str(heads), str(site.size), "4", *other, f"dropout_rate={rate}", "decode=False"]
    return f"nnx.MultiHeadAttention({', '.join(parts)}, rngs=rngs)"


def _causal_arguments(site: Site) -> str:
    x = site.args[0]
    return f"{x}, mask={site.flax}.make_causal_mask({x}[..., 0])"


def _decode_choices(types: Types) -> Choices | None:
    return {"num_heads": (1, 2)} if is_sequence(types[0]) else None


def _decode_text(site: Site) -> str:
    return f"decode_step(self, {site.args[0]}, num_heads={site.options['num_heads']})"


def _nnx_decoder(site: Site) -> str:
    attention = f"nnx.MultiHeadAttention({site.options['num_heads']}, {site.size}, 4, decode=True"
    return f"with_cache({attention}, rngs=rngs), ({site.batch_size}, {CACHE}, {site.size}))"


def _recurrent_choices(types: Types) -> Choices | None:
    if not is_sequence(types[0]):
        return None
    return {"cell": CELLS, "features": (2, 3), "reverse": (False, True)}


def _recurrent_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    return (ValueType((types[0].shape[0], integer(options["features"]))),)


def _recurrent_text(site: Site) -> str:
    cell = f"nn.{site.options['cell']}({site.options['features']})"
    return f"nn.RNN({cell}, reverse={site.options['reverse']}, keep_order=True)"


def nnx_rnn(cell: object, size: int, features: object, *more: str) -> str:
    """Returns the text that makes a recurrent layer of a cell, with further arguments."""
    made = f"nnx.{cell}({size}, {features}, rngs=rngs)"
    return f"nnx.RNN({', '.join([made, *more])})"


def _nnx_recurrent(site: Site) -> str:
    cell, features = site.options["cell"], site.options["features"]
    return nnx_rnn(
        cell, site.size, features, f"reverse={site.options['reverse']}", "keep_order=True"
    )


def _recurrent_traits(options: Options) -> Traits:
    cell = str(options["cell"])
    return Traits(features=frozenset({"recurrent", f"recurrent_{cell}"}), trainable=True)


def _bidirectional_choices(types: Types) -> Choices | None:
    return {"forward": CELLS, "backward": CELLS} if is_sequence(types[0]) else None


def _bidirectional_text(site: Site) -> str:
    names = (site.options["forward"], site.options["backward"])
    return f"nn.Bidirectional({', '.join(f'nn.RNN(nn.{name}(2))' for name in names)})"


def _nnx_bidirectional(site: Site) -> str:
    cells = (site.options["forward"], site.options["backward"])
    return f"nnx.Bidirectional({', '.join(nnx_rnn(cell, site.size, 2) for cell in cells)})"


def _frames_choices(types: Types) -> Choices | None:
    fits = types[0].dtype == "float32" and len(types[0].shape) in (3, 4)
    return {"features": (2,)} if fits else None


def _frames_text(site: Site) -> str:
    # The first dimension is time, the last features, and the kernel covers what lies between.
    features, sizes = site.options["features"], f"(2,) * ({site.args[0]}.ndim - 3)"
    return f"nn.RNN(nn.ConvLSTMCell({features}, {sizes}))({site.args[0]})"


PART = Part(
    place=7,
    features={
        "sequences": {
            "attention": "multi-head attention",
            "attention_dropout": "dropout inside attention",
            "bidirectional": "Bidirectional",
            "causal_attention": "attention under a causal mask",
            "cross_attention": "attention from one sequence to another",
            "decode_cache": "attention that decodes from a cache",
            "recurrent": "a recurrent cell under RNN",
            "recurrent_GRUCell": "GRUCell",
            "recurrent_LSTMCell": "LSTMCell",
            "recurrent_MGUCell": "MGUCell",
            "recurrent_OptimizedLSTMCell": "OptimizedLSTMCell",
            "recurrent_SimpleCell": "SimpleCell",
            "recurrent_frames": "ConvLSTMCell",
        },
    },
    operations=(
        Operation(
            name="attention",
            weight=3,
            choices=_attention_choices,
            results=lambda types, _: (types[0],),
            forms={
                "linen": layer(linen_stock("MultiHeadDotProductAttention"), mode="deterministic"),
                "nnx": layer(nnx_attention),
            },
            traits=lambda options: attention_traits("attention", options=options),
        ),
        Operation(
            name="cross_attention",
            weight=2,
            arity=2,
            choices=_cross_choices,
            results=lambda types, _: (types[0],),
            forms={
                "linen": layer(linen_stock("MultiHeadAttention"), mode="deterministic"),
                "nnx": layer(nnx_attention),
            },
            traits=lambda options: attention_traits("cross_attention", options=options),
        ),
        Operation(
            name="causal_attention",
            weight=2,
            choices=_attention_choices,
            results=lambda types, _: (types[0],),
            forms={
                "linen": layer(
                    linen_stock("MultiHeadDotProductAttention"),
                    arguments=_causal_arguments,
                    mode="deterministic",
                ),
                "nnx": layer(nnx_attention, arguments=_causal_arguments),
            },
            traits=lambda options: attention_traits("causal_attention", options=options),
        ),
        Operation(
            name="decode",
            weight=4,
            choices=_decode_choices,
            results=lambda types, _: (ValueType((1, types[0].shape[-1])),),
            forms={
                "linen": Form(_decode_text),
                "nnx": Form(lambda site: f"{site.layer}({site.args[0]}[:, :1])", _nnx_decoder),
            },
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
            forms={
                "linen": layer(_recurrent_text),
                "nnx": replace(layer(_nnx_recurrent), lacks=_OF_LINEN),
            },
            traits=_recurrent_traits,
        ),
        Operation(
            name="bidirectional",
            weight=2,
            choices=_bidirectional_choices,
            results=lambda types, _: (ValueType((types[0].shape[0], 4)),),
            forms={
                "linen": layer(_bidirectional_text),
                "nnx": replace(layer(_nnx_bidirectional), lacks=_OF_LINEN),
            },
            traits=lambda _: Traits(features=frozenset({"bidirectional"}), trainable=True),
        ),
        Operation(
            name="recurrent_frames",
            weight=2,
            choices=_frames_choices,
            results=lambda types, options: (
                ValueType((*types[0].shape[:-1], integer(options["features"]))),
            ),
            forms={"linen": Form(_frames_text)},
            compact=True,
            traits=lambda _: Traits(
                features=frozenset({"recurrent", "recurrent_frames"}), trainable=True
            ),
        ),
    ),
)
