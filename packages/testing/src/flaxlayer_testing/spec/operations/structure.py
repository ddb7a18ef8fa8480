"""Operations over `render/pieces` for params: any dtype, metadata, tied, shared, inherited."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flaxlayer_testing.spec.operations.forms import (
    Form,
    Site,
    Text,
    keywords_text,
    layer,
    nnx_linear,
    nnx_on_variable,
    nnx_stock,
    plain_call,
)
from flaxlayer_testing.spec.operations.linear import float_rank, last, same_shape
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
    shows,
    with_features,
)
from flaxlayer_testing.spec.spec import Json, Options, ValueType

__all__ = ["PART"]

_OF_LINEN: frozenset[Json] = frozenset({"with_logical_partitioning"})
DTYPES = ("float16", "bfloat16", "float32", "complex64", "int32", "bool")


def _trainable(*features: str) -> Callable[[Options], Traits]:
    return lambda options: Traits(trainable=True) | shows(*features)(options)


def _results(types: Types, options: Options) -> tuple[ValueType, ...]:
    return last(types, options, integer(options["features"]))


def _features_choices(types: Types) -> Choices | None:
    return {"features": (2, 3)} if float_rank(types, 1, 2) else None


def _vectors_choices(types: Types) -> Choices | None:
    return {} if is_float(types[0]) and types[0].shape else None


def _function(name: str) -> Text:
    return lambda site: f"{name}({', '.join([*site.args, *keywords_text(site.options)])})"


def _class(name: str) -> Text:
    return lambda site: f"{name}({', '.join(keywords_text(site.options))})"


def _table_choices(types: Types) -> Choices | None:
    return None if _vectors_choices(types) is None else {"dtype": DTYPES}


def _table_text(site: Site) -> str:
    x, dtype = site.args[0], site.options["dtype"]
    return f"table(self, {x}, name='table_{site.index}', dtype={dtype!r})"


def _nnx_table(site: Site) -> str:
    return f"nnx.Param(jnp.ones(({site.size},), {site.options['dtype']!r}))"


def _table_traits(options: Options) -> Traits:
    return Traits(
        features=frozenset({"table", f"param_{options['dtype']}"}),
        trainable=True,
    )


def _nnx_complex(site: Site) -> str:
    dtypes = ("dtype=jnp.complex64", "param_dtype=jnp.complex64")
    return nnx_linear(site.size, site.options["features"], *dtypes)


def _nnx_real(site: Site) -> str:
    return f"jnp.real({plain_call(site)})"


def _metadata_choices(types: Types) -> Choices | None:
    if not float_rank(types, 1, 2):
        return None
    return {"features": (2, 3), "partitioning": ("with_partitioning", "with_logical_partitioning")}


def _metadata_text(site: Site) -> str:
    function, features = site.options["partitioning"], site.options["features"]
    init = f"nn.{function}(nn.initializers.lecun_normal(), (None, 'model'))"
    return f"nn.Dense({features}, kernel_init={init})"


def _nnx_metadata(site: Site) -> str:
    init = "nnx.initializers.lecun_normal(), (None, 'model')"
    # Without a mesh the names are metadata only.
    boxed = f"nnx.with_partitioning({init}, eager_sharding=False)"
    return nnx_linear(site.size, site.options["features"], f"kernel_init={boxed}")


def _metadata_traits(options: Options) -> Traits:
    return _trainable("partition_metadata", str(options["partitioning"]))(options)


def _tied_choices(types: Types) -> Choices | None:
    if _vectors_choices(types) is None:
        return None
    return {"features": (types[0].shape[-1],)}


def _nnx_tied(site: Site) -> str:
    return f"Tied({nnx_linear(site.size, site.options['features'])})"


def _tied_embed_choices(types: Types) -> Choices | None:
    if not is_token(types[0]):
        return None
    sizes: tuple[Json, ...] = (VOCABULARY,)
    return {"num_embeddings": sizes, "features": (2, 3)}


def _nnx_attend(site: Site) -> str:
    return f"{site.layer}.attend(nnx.tanh({plain_call(site)}))"


def _plain_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    # Parameters are float32, and so is what they meet.
    return same_shape(types, {})


_NNX_EMBED = nnx_stock("Embed", "num_embeddings", "features", size=False)
_TIED = Traits(features=frozenset({"tied"}), trainable=True)


def _class_op(name: str, feature: str) -> Operation:
    return Operation(
        name=feature,
        choices=_features_choices,
        results=_results,
        forms={"linen": layer(_class(name))},
        traits=_trainable(feature),
    )


PART = Part(
    place=6,
    features={
        "transforms": {
            "add_metadata_axis": "nn.add_metadata_axis",
        },
        "variables": {
            "compact_name_scope": "compact methods with a scope each",
            "complex_dense": "a complex Dense",
            "inheritance": "a module class with the fields of another",
            "nowrap": "a helper method without a scope",
            "param_bfloat16": "a bfloat16 param of the module's own",
            "param_bool": "a boolean param",
            "param_complex64": "a complex param",
            "param_float16": "a float16 param of the module's own",
            "param_float32": "a float32 param of the module's own",
            "param_int32": "an integer param",
            "partition_metadata": "variables with partition metadata",
            "share_scope": "a module that shares the scope of another",
            "table": "a param of the module's own",
            "tied": "one layer used twice",
            "tied_embed": "an embedding table used for input and output",
            "with_logical_partitioning": "params with logical axis names",
            "with_partitioning": "params with names of mesh axes",
        },
    },
    operations=(
        Operation(
            name="table",
            weight=6,
            choices=_table_choices,
            results=lambda types, _: (types[0],),
            forms={
                "linen": Form(_table_text),
                "nnx": Form(nnx_on_variable("scale_by"), _nnx_table),
            },
            compact=True,
            traits=_table_traits,
        ),
        Operation(
            name="complex_dense",
            choices=_features_choices,
            results=lambda types, options: (
                ValueType((*types[0].shape[:-1], integer(options["features"]))),
            ),
            forms={"linen": Form(_function("complex_dense")), "nnx": Form(_nnx_real, _nnx_complex)},
            compact=True,
            traits=_trainable("complex_dense", "param_complex64"),
        ),
        Operation(
            name="partitioned_dense",
            weight=2,
            choices=_metadata_choices,
            results=_results,
            forms={
                "linen": layer(_metadata_text),
                "nnx": replace(layer(_nnx_metadata), lacks=_OF_LINEN),
            },
            traits=_metadata_traits,
        ),
        Operation(
            name="metadata_axis",
            choices=_features_choices,
            results=_results,
            forms={"linen": Form(_function("metadata_axis"))},
            compact=True,
            traits=_trainable("partition_metadata", "add_metadata_axis"),
        ),
        Operation(
            name="tied_dense",
            choices=_tied_choices,
            results=_plain_results,
            forms={"linen": Form(_function("tied_dense")), "nnx": layer(_nnx_tied)},
            compact=True,
            traits=lambda _: _TIED,
        ),
        Operation(
            name="tied_embed",
            choices=_tied_embed_choices,
            results=lambda types, _: (ValueType((*types[0].shape, VOCABULARY)),),
            forms={
                "linen": Form(_function("tied_embed")),
                "nnx": Form(
                    _nnx_attend, nnx_stock("Embed", "num_embeddings", "features", size=False)
                ),
            },
            compact=True,
            fixed=lambda _: 0,
            traits=lambda _: with_features(_TIED, "tied_embed"),
        ),
        _class_op("Adapted", "share_scope"),
        _class_op("Helped", "nowrap"),
        Operation(
            name="compact_name_scope",
            choices=_features_choices,
            results=_results,
            forms={"linen": Form(lambda site: f"{_class('Apart')(site)}({site.args[0]})")},
            compact=True,
            traits=_trainable("compact_name_scope"),
        ),
        _class_op("Shifted", "inheritance"),
    ),
)
