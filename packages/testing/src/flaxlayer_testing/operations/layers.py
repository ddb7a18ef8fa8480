"""Linen layers that a constructor and one call describe: dense, convolution, norms, dropout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil

from flaxlayer_testing.operations.base import (
    VOCABULARY,
    Choices,
    Operation,
    Site,
    Traits,
    Types,
    constructor,
    is_float,
    promote,
)
from flaxlayer_testing.specs import Json, Options, ValueType

__all__ = ["LAYERS"]

FEATURES = (2, 3, 4)
# Single precision is repeated: it is drawn most often.
PARAM_DTYPES = ("float32", "float32", "float32", "bfloat16", "float16")
# Norms of two or three features are ill-conditioned under linen's epsilon of 1e-6: rounding would
# be multiplied by up to 1000, and T4 allows no tolerance for that.
EPSILON = 0.01


def _float_rank(types: Types, *ranks: int) -> bool:
    return is_float(types[0]) and len(types[0].shape) in ranks


def _trained(feature: str, **traits: bool | frozenset[str]) -> Callable[[Options], Traits]:
    base = Traits(features=frozenset({feature}), trainable=True)

    def find(options: Options) -> Traits:
        plain = options.get("param_dtype", "float32") == "float32"
        more: frozenset[str] = frozenset() if plain else frozenset({"param_dtype"})
        return replace(base, features=base.features | more, **traits)  # type: ignore[arg-type]

    return find


def _same_shape(types: Types, options: Options) -> tuple[ValueType, ...]:
    dtype = promote(types[0], options.get("param_dtype", "float32"))
    return (ValueType(types[0].shape, dtype),)


def _last(
    types: Types, options: Options, *features: int, dropped: int = 1
) -> tuple[ValueType, ...]:
    dtype = promote(types[0], options.get("param_dtype", "float32"))
    return (ValueType((*types[0].shape[:-dropped], *features), dtype),)


def _integer(value: Json) -> int:
    assert isinstance(value, int)
    return value


def _integers(value: Json) -> tuple[int, ...]:
    return tuple(map(_integer, value)) if isinstance(value, tuple) else (_integer(value),)


def _layer(layer: str, **more: str) -> Callable[[Site], str]:
    return lambda site: constructor(layer, site, **more)


def _dense_choices(types: Types) -> Choices | None:
    if not _float_rank(types, 1, 2, 3):
        return None
    return {"features": FEATURES, "use_bias": (True, False), "param_dtype": PARAM_DTYPES}


def _general_choices(types: Types) -> Choices | None:
    if not _float_rank(types, 1, 2):
        return None
    axes: tuple[Json, ...] = (-1,) if len(types[0].shape) == 1 else (-1, (-2, -1))
    return {"features": (3, (2, 2)), "axis": axes}


def _general_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    dropped = len(_integers(options["axis"]))
    return _last(types, options, *_integers(options["features"]), dropped=dropped)


def _conv_choices(types: Types) -> Choices | None:
    if not _float_rank(types, 2, 3):
        return None
    *spatial, _ = types[0].shape
    padding = ("SAME", "VALID", "CIRCULAR") if min(spatial) >= 3 else ("SAME",)
    return {
        "features": (2, 3),
        "kernel_size": ((2,) * len(spatial), (3,) * len(spatial)),
        "strides": (1, 2),
        "padding": padding,
        "param_dtype": PARAM_DTYPES,
    }


def _conv_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    *spatial, _ = types[0].shape
    kernel, stride = _integers(options["kernel_size"]), _integer(options["strides"])
    lost = options["padding"] == "VALID"
    sizes = [ceil((n - lost * (k - 1)) / stride) for n, k in zip(spatial, kernel, strict=True)]
    return (ValueType((*sizes, _integer(options["features"])), _last(types, options)[0].dtype),)


def _embed_choices(types: Types) -> Choices | None:
    if is_float(types[0]):
        return None
    sizes = (VOCABULARY, VOCABULARY + 2)
    return {"num_embeddings": sizes, "features": FEATURES, "param_dtype": PARAM_DTYPES}


def _embed_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    shape = (*types[0].shape, _integer(options["features"]))
    return (ValueType(shape, str(options["param_dtype"])),)


def _norm_choices(types: Types) -> Choices | None:
    return {"param_dtype": PARAM_DTYPES} if _float_rank(types, 1, 2, 3) else None


def _group_choices(types: Types) -> Choices | None:
    if not _float_rank(types, 1, 2, 3):
        return None
    return {"num_groups": tuple(n for n in (1, 2) if types[0].shape[-1] % n == 0)}


def _batch_choices(types: Types) -> Choices | None:
    if not _float_rank(types, 1, 2, 3):
        return None
    return {"momentum": (0.5, 0.9), "use_scale": (True, False)}


def _batch_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    # Its bias is float32, whether or not it has a scale.
    return _same_shape(types, {})


def _batch_text(site: Site) -> str:
    return constructor("BatchNorm", site, use_running_average=site.inference, epsilon=str(EPSILON))


def _dropout_choices(types: Types) -> Choices | None:
    if not _float_rank(types, 1, 2, 3):
        return None
    shapes = ((), (1,)) if len(types[0].shape) > 1 else ((),)
    streams = ("dropout", "drop_path")
    return {"rate": (0.5, 0.25), "broadcast_dims": shapes, "rng_collection": streams}


def _dropout_traits(options: Options) -> Traits:
    stream = str(options["rng_collection"])
    named = {"dropout"} if stream == "dropout" else {"dropout", "dropout_stream"}
    return Traits(features=frozenset(named), training_streams=frozenset({stream}), uses_flag=True)


def _dropout_text(site: Site) -> str:
    return constructor("Dropout", site, deterministic=site.inference)


LAYERS = (
    Operation(
        name="dense",
        weight=2,
        choices=_dense_choices,
        results=lambda types, options: _last(types, options, _integer(options["features"])),
        text=_layer("Dense"),
        traits=_trained("dense"),
    ),
    Operation(
        name="dense_general",
        choices=_general_choices,
        results=_general_results,
        text=_layer("DenseGeneral"),
        traits=_trained("dense_general"),
    ),
    Operation(
        name="conv",
        weight=2,
        choices=_conv_choices,
        results=_conv_results,
        text=_layer("Conv"),
        traits=_trained("conv"),
    ),
    Operation(
        name="embed",
        choices=_embed_choices,
        results=_embed_results,
        text=_layer("Embed"),
        traits=_trained("embed"),
    ),
    Operation(
        name="batch_norm",
        weight=2,
        choices=_batch_choices,
        results=_batch_results,
        text=_batch_text,
        traits=_trained("batch_norm", state=frozenset({"batch_stats"}), uses_flag=True),
    ),
    Operation(
        name="dropout",
        weight=2,
        choices=_dropout_choices,
        results=lambda types, _: (types[0],),
        text=_dropout_text,
        traits=_dropout_traits,
    ),
    Operation(
        name="layer_norm",
        choices=_norm_choices,
        results=_same_shape,
        text=_layer("LayerNorm", epsilon=str(EPSILON)),
        traits=_trained("layer_norm"),
    ),
    Operation(
        name="rms_norm",
        choices=_norm_choices,
        results=_same_shape,
        text=_layer("RMSNorm", epsilon=str(EPSILON)),
        traits=_trained("rms_norm"),
    ),
    Operation(
        name="group_norm",
        choices=_group_choices,
        results=_same_shape,
        text=_layer("GroupNorm", epsilon=str(EPSILON)),
        traits=_trained("group_norm"),
    ),
    Operation(
        name="prelu",
        choices=_norm_choices,
        results=lambda types, _: (types[0],),
        text=_layer("PReLU"),
        traits=_trained("prelu"),
    ),
)
