"""Convolutions over one to three dimensions."""

from __future__ import annotations

from math import ceil

from flaxlayer_testing.spec.operations.forms import layer, linen_stock, nnx_stock
from flaxlayer_testing.spec.operations.linear import PARAM_DTYPES, float_rank, last, trained
from flaxlayer_testing.spec.operations.operation import (
    Choices,
    Operation,
    Part,
    Types,
    integer,
)
from flaxlayer_testing.spec.spec import Options, ValueType

__all__ = ["PART"]

FEATURES = (2, 3)


def _kernels(types: Types) -> tuple[tuple[int, ...], ...]:
    *spatial, _ = types[0].shape
    return ((2,) * len(spatial), (3,) * len(spatial))


def _conv_choices(types: Types) -> Choices | None:
    if not float_rank(types, 2, 3):
        return None
    *spatial, _ = types[0].shape
    padding = ("SAME", "VALID", "CIRCULAR") if min(spatial) >= 3 else ("SAME",)
    return {
        "features": FEATURES,
        "kernel_size": _kernels(types),
        "strides": (1, 2),
        "padding": padding + (("CAUSAL",) if len(spatial) == 1 else ()),
        "param_dtype": PARAM_DTYPES,
    }


def _conv_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    *spatial, _ = types[0].shape
    stride, kernel = integer(options.get("strides", 1)), options["kernel_size"]
    assert isinstance(kernel, tuple)
    lost = options.get("padding") == "VALID"
    reaches = [lost * (integer(size) - 1) for size in kernel]
    sizes = [ceil((n - reach) / stride) for n, reach in zip(spatial, reaches, strict=True)]
    return (ValueType((*sizes, integer(options["features"])), last(types, options)[0].dtype),)


def _grouped_choices(types: Types) -> Choices | None:
    if not float_rank(types, 2, 3) or types[0].shape[-1] % 2:
        return None
    return {
        "features": (2, 4),
        "kernel_size": _kernels(types)[:1],
        "feature_group_count": (2,),
        "kernel_dilation": (1, 2),
    }


def _volume_choices(types: Types) -> Choices | None:
    if not float_rank(types, 4):
        return None
    return {"features": FEATURES, "kernel_size": ((2, 2, 2),)}


def _transpose_choices(types: Types) -> Choices | None:
    if not float_rank(types, 2, 3):
        return None
    strides = tuple((size,) * (len(types[0].shape) - 1) for size in (1, 2))
    return {"features": FEATURES, "kernel_size": _kernels(types), "strides": strides}


def _transpose_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    *spatial, _ = types[0].shape
    strides = options["strides"]
    assert isinstance(strides, tuple)
    sizes = [n * integer(stride) for n, stride in zip(spatial, strides, strict=True)]
    return (ValueType((*sizes, integer(options["features"])), last(types, options)[0].dtype),)


def _local_choices(types: Types) -> Choices | None:
    if not float_rank(types, 2, 3):
        return None
    return {"features": FEATURES, "kernel_size": _kernels(types)[:1]}


_CONV = {
    "linen": layer(linen_stock("Conv")),
    "nnx": layer(nnx_stock("Conv", "features", "kernel_size")),
}

PART = Part(
    place=2,
    features={
        "layers": {
            "conv": "a convolution over one or two dimensions",
            "conv_grouped": "a convolution by groups of features, dilated or not",
            "conv_local": "ConvLocal",
            "conv_transpose": "ConvTranspose",
            "conv_volume": "a convolution over three dimensions",
        },
    },
    operations=(
        Operation(
            name="conv",
            weight=2,
            choices=_conv_choices,
            results=_conv_results,
            forms=_CONV,
            traits=trained("conv"),
        ),
        Operation(
            name="conv_grouped",
            choices=_grouped_choices,
            results=_conv_results,
            forms=_CONV,
            traits=trained("conv_grouped"),
        ),
        Operation(
            name="conv_volume",
            weight=2,
            choices=_volume_choices,
            results=_conv_results,
            forms=_CONV,
            traits=trained("conv_volume"),
        ),
        Operation(
            name="conv_transpose",
            choices=_transpose_choices,
            results=_transpose_results,
            forms={
                "linen": layer(linen_stock("ConvTranspose")),
                "nnx": layer(nnx_stock("ConvTranspose", "features", "kernel_size")),
            },
            traits=trained("conv_transpose"),
        ),
        Operation(
            name="conv_local",
            choices=_local_choices,
            results=_conv_results,
            forms={"linen": layer(linen_stock("ConvLocal"))},
            traits=trained("conv_local"),
            fixed=lambda options: len(options["kernel_size"]) + 1,  # type: ignore[arg-type]
        ),
    ),
)
