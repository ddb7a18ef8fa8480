"""Layers over sequences: attention and recurrent cells."""

from __future__ import annotations

from flaxlayer_testing.operations.base import Choices, Operation, Site, Traits, Types, constructor
from flaxlayer_testing.specs import Options, ValueType

__all__ = ["SEQUENCES"]


def _is_sequence(types: Types) -> bool:
    return types[0].dtype == "float32" and len(types[0].shape) == 2


def _attention_choices(types: Types) -> Choices | None:
    if not _is_sequence(types):
        return None
    return {"num_heads": (1, 2), "qkv_features": (4,), "dropout_rate": (0.0, 0.5)}


def _attention_text(site: Site) -> str:
    return constructor("MultiHeadDotProductAttention", site, deterministic=site.inference)


def _attention_traits(options: Options) -> Traits:
    plain = Traits(features=frozenset({"attention"}), trainable=True, uses_flag=True)
    if not options["dropout_rate"]:
        return plain
    features = frozenset({"attention_dropout"})
    return plain | Traits(features=features, training_streams=frozenset({"dropout"}))


def _recurrent_choices(types: Types) -> Choices | None:
    if not _is_sequence(types):
        return None
    cells = ("SimpleCell", "GRUCell", "LSTMCell", "OptimizedLSTMCell")
    return {"cell": cells, "features": (2, 3), "reverse": (False, True)}


def _recurrent_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    features = options["features"]
    assert isinstance(features, int)
    return (ValueType((types[0].shape[0], features)),)


def _recurrent_text(site: Site) -> str:
    cell = f"nn.{site.options['cell']}({site.options['features']})"
    return f"nn.RNN({cell}, reverse={site.options['reverse']}, keep_order=True)({site.args[0]})"


SEQUENCES = (
    Operation(
        name="attention",
        weight=4,
        choices=_attention_choices,
        results=lambda types, _: (types[0],),
        text=_attention_text,
        traits=_attention_traits,
    ),
    Operation(
        name="recurrent",
        weight=3,
        choices=_recurrent_choices,
        results=_recurrent_results,
        text=_recurrent_text,
        traits=lambda _: Traits(features=frozenset({"recurrent"}), trainable=True),
    ),
)
