"""Linear layers, embeddings, dropout and what stands beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flaxlayer_testing.spec.operations.forms import (
    Form,
    Site,
    layer,
    linen_stock,
    nnx_linear,
    nnx_stock,
)
from flaxlayer_testing.spec.operations.operation import (
    VOCABULARY,
    Choices,
    Operation,
    Part,
    Traits,
    Types,
    integer,
    is_float,
    is_token,
    promote,
)
from flaxlayer_testing.spec.spec import Json, Options, ValueType

__all__ = ["PARAM_DTYPES", "PART", "float_rank", "last", "same_shape", "trained"]

FEATURES = (2, 3, 4)
# Single precision is repeated: it is drawn most often.
PARAM_DTYPES = ("float32", "float32", "float32", "bfloat16", "float16")


def float_rank(types: Types, *ranks: int) -> bool:
    """Tells whether the first value is floating point and of one of these ranks."""
    return is_float(types[0]) and len(types[0].shape) in ranks


def trained(feature: str, **traits: bool | frozenset[str]) -> Callable[[Options], Traits]:
    """Returns the traits of a layer with params, by its options."""
    base = Traits(features=frozenset({feature}), trainable=True)

    def find(options: Options) -> Traits:
        plain = options.get("param_dtype", "float32") == "float32"
        more: frozenset[str] = frozenset() if plain else frozenset({"param_dtype"})
        return replace(base, features=base.features | more, **traits)  # type: ignore[arg-type]

    return find


def same_shape(types: Types, options: Options) -> tuple[ValueType, ...]:
    """Returns the type of a value that met params without changing its shape."""
    dtype = promote(types[0], options.get("param_dtype", "float32"))
    return (ValueType(types[0].shape, dtype),)


def last(types: Types, options: Options, *features: int, dropped: int = 1) -> tuple[ValueType, ...]:
    """Returns the type of a value whose trailing dimensions became others."""
    dtype = promote(types[0], options.get("param_dtype", "float32"))
    return (ValueType((*types[0].shape[:-dropped], *features), dtype),)


def _integers(value: Json) -> tuple[int, ...]:
    return tuple(map(integer, value)) if isinstance(value, tuple) else (integer(value),)


def _features_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    return last(types, options, integer(options["features"]))


def _dense_choices(types: Types) -> Choices | None:
    if not float_rank(types, 1, 2, 3):
        return None
    return {"features": FEATURES, "use_bias": (True, False), "param_dtype": PARAM_DTYPES}


def _general_choices(types: Types) -> Choices | None:
    if not float_rank(types, 1, 2):
        return None
    axes: tuple[Json, ...] = (-1,) if len(types[0].shape) == 1 else (-1, (-2, -1))
    return {"features": (3, (2, 2)), "axis": axes}


def _general_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    dropped = len(_integers(options["axis"]))
    return last(types, options, *_integers(options["features"]), dropped=dropped)


def _nnx_general(site: Site) -> str:
    axis = site.options["axis"]
    taken = site.types[0].shape[-len(axis) :] if isinstance(axis, tuple) else (site.size,)
    return f"nnx.LinearGeneral({taken}, {site.options['features']}, axis={axis}, rngs=rngs)"


def _einsum_choices(types: Types) -> Choices | None:
    return {"heads": (2, 3)} if float_rank(types, 1, 2) else None


def _einsum_text(site: Site) -> str:
    # The kernel's leading sizes are names, filled in where the input is at hand.
    x, heads = site.args[0], site.options["heads"]
    return f"nn.Einsum(({x}.shape[-1], {heads}, 2), '...a,ahd->...hd', use_bias=False)({x})"


def _nnx_einsum(site: Site) -> str:
    sizes = (site.size, site.options["heads"], 2)
    return f"nnx.Einsum('...a,ahd->...hd', {sizes}, rngs=rngs)"


def _embed_choices(types: Types) -> Choices | None:
    if not is_token(types[0]):
        return None
    sizes = (VOCABULARY, VOCABULARY + 2)
    return {"num_embeddings": sizes, "features": FEATURES, "param_dtype": PARAM_DTYPES}


def _embed_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    shape = (*types[0].shape, integer(options["features"]))
    return (ValueType(shape, str(options["param_dtype"])),)


def _dropout_choices(types: Types) -> Choices | None:
    if not float_rank(types, 1, 2, 3):
        return None
    shapes = ((), (1,)) if len(types[0].shape) > 1 else ((),)
    streams = ("dropout", "drop_path")
    return {"rate": (0.5, 0.25), "broadcast_dims": shapes, "rng_collection": streams}


def _dropout_traits(options: Options) -> Traits:
    stream = str(options["rng_collection"])
    named = {"dropout"} if stream == "dropout" else {"dropout", "dropout_stream"}
    return Traits(features=frozenset(named), training_streams=frozenset({stream}), uses_flag=True)


def _prelu_choices(types: Types) -> Choices | None:
    return {"param_dtype": PARAM_DTYPES} if float_rank(types, 1, 2, 3) else None


def _sequential_choices(types: Types) -> Choices | None:
    return {"features": (2, 3)} if float_rank(types, 1, 2) else None


def _sequential_text(site: Site) -> str:
    return f"nn.Sequential([nn.Dense(3), nn.tanh, nn.Dense({site.options['features']})])"


def _nnx_sequential(site: Site) -> str:
    first, last = nnx_linear(site.size, 3), nnx_linear(3, site.options["features"])
    return f"nnx.Sequential({first}, nnx.tanh, {last})"


PART = Part(
    place=1,
    features={
        "layers": {
            "dense": "Dense",
            "dense_general": "DenseGeneral",
            "dropout": "Dropout",
            "dropout_stream": "Dropout with a stream of its own name",
            "einsum": "Einsum",
            "embed": "Embed",
            "prelu": "PReLU",
            "sequential": "Sequential",
        },
        "variables": {
            "param_dtype": "parameters in half precision",
        },
    },
    operations=(
        Operation(
            name="dense",
            weight=4,
            choices=_dense_choices,
            results=_features_results,
            forms={
                "linen": layer(linen_stock("Dense")),
                "nnx": layer(nnx_stock("Linear", "features")),
            },
            traits=trained("dense"),
        ),
        Operation(
            name="dense_general",
            choices=_general_choices,
            results=_general_results,
            forms={
                "linen": layer(linen_stock("DenseGeneral")),
                "nnx": layer(_nnx_general),
            },
            traits=trained("dense_general"),
            fixed=lambda options: len(_integers(options["axis"])),
        ),
        Operation(
            name="einsum",
            choices=_einsum_choices,
            results=lambda types, options: last(types, options, integer(options["heads"]), 2),
            forms={"linen": Form(_einsum_text), "nnx": layer(_nnx_einsum)},
            compact=True,
            traits=trained("einsum"),
        ),
        Operation(
            name="embed",
            choices=_embed_choices,
            results=_embed_results,
            forms={
                "linen": layer(linen_stock("Embed")),
                "nnx": layer(nnx_stock("Embed", "num_embeddings", "features", size=False)),
            },
            traits=trained("embed"),
            fixed=lambda _: 0,
        ),
        Operation(
            name="dropout",
            weight=7,
            choices=_dropout_choices,
            results=lambda types, _: (types[0],),
            forms={
                "linen": layer(linen_stock("Dropout"), mode="deterministic"),
                "nnx": layer(nnx_stock("Dropout", "rate", size=False)),
            },
            traits=_dropout_traits,
            fixed=lambda _: 0,
        ),
        Operation(
            name="prelu",
            choices=_prelu_choices,
            results=lambda types, _: (types[0],),
            forms={
                "linen": layer(linen_stock("PReLU")),
                "nnx": layer(nnx_stock("PReLU", size=False, rngs=False)),
            },
            traits=trained("prelu"),
            fixed=lambda _: 0,
        ),
        Operation(
            name="sequential",
            choices=_sequential_choices,
            results=_features_results,
            forms={"linen": layer(_sequential_text), "nnx": layer(_nnx_sequential)},
            traits=trained("sequential"),
        ),
    ),
)
