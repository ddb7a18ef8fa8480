"""Normalisation of values and of weights."""

from __future__ import annotations

from flaxlayer_testing.spec.operations.forms import (
    Form,
    Site,
    layer,
    linen_stock,
    nnx_linear,
    nnx_stock,
)
from flaxlayer_testing.spec.operations.linear import (
    PARAM_DTYPES,
    float_rank,
    last,
    same_shape,
    trained,
)
from flaxlayer_testing.spec.operations.operation import (
    Choices,
    Operation,
    Part,
    Types,
    integer,
)
from flaxlayer_testing.spec.spec import Options, ValueType

__all__ = ["EPSILON", "PART"]

# Norms of two or three features are ill-conditioned under linen's epsilon of 1e-6: rounding would
# be multiplied by up to 1000, and T4 allows no tolerance for that.
EPSILON = "0.01"


def _norm_choices(types: Types) -> Choices | None:
    return {"param_dtype": PARAM_DTYPES} if float_rank(types, 1, 2, 3) else None


def _group_choices(types: Types) -> Choices | None:
    if not float_rank(types, 1, 2, 3):
        return None
    return {"num_groups": tuple(n for n in (1, 2) if types[0].shape[-1] % n == 0)}


def _instance_choices(types: Types) -> Choices | None:
    if not float_rank(types, 2, 3):
        return None
    return {"use_bias": (True, False)}


def _batch_choices(types: Types) -> Choices | None:
    if not float_rank(types, 1, 2, 3):
        return None
    return {"momentum": (0.5, 0.9), "use_scale": (True, False)}


def _plain_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    # Its other params are float32, whether or not it has the one that an option asks for.
    return same_shape(types, {})


def _wrapped_choices(types: Types) -> Choices | None:
    return {"features": (2, 3)} if float_rank(types, 1, 2) else None


def _wrapped_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    return last(types, options, integer(options["features"]))


def _norm_forms(name: str, *, mode: str = "") -> dict[str, Form]:
    return {
        "linen": layer(linen_stock(name, epsilon=EPSILON), mode=mode),
        "nnx": layer(nnx_stock(name, epsilon=EPSILON)),
    }


def _wrapped_forms(name: str, *, mode: str = "") -> dict[str, Form]:
    def in_linen(site: Site) -> str:
        return f"nn.{name}(nn.Dense({site.options['features']}), epsilon={EPSILON})"

    def in_nnx(site: Site) -> str:
        inner = nnx_linear(site.size, site.options["features"])
        return f"nnx.{name}({inner}, epsilon={EPSILON}, rngs=rngs)"

    return {"linen": layer(in_linen, mode=mode), "nnx": layer(in_nnx)}


PART = Part(
    place=3,
    features={
        "layers": {
            "batch_norm": "BatchNorm",
            "group_norm": "GroupNorm",
            "instance_norm": "InstanceNorm",
            "layer_norm": "LayerNorm",
            "rms_norm": "RMSNorm",
            "spectral_norm": "SpectralNorm",
            "weight_norm": "WeightNorm",
        },
    },
    operations=(
        Operation(
            name="batch_norm",
            weight=6,
            choices=_batch_choices,
            results=_plain_results,
            forms=_norm_forms("BatchNorm", mode="use_running_average"),
            traits=trained("batch_norm", state=frozenset({"batch_stats"}), uses_flag=True),
        ),
        Operation(
            name="layer_norm",
            choices=_norm_choices,
            results=same_shape,
            forms=_norm_forms("LayerNorm"),
            traits=trained("layer_norm"),
        ),
        Operation(
            name="rms_norm",
            choices=_norm_choices,
            results=same_shape,
            forms=_norm_forms("RMSNorm"),
            traits=trained("rms_norm"),
        ),
        Operation(
            name="group_norm",
            choices=_group_choices,
            results=same_shape,
            forms=_norm_forms("GroupNorm"),
            traits=trained("group_norm"),
        ),
        Operation(
            name="instance_norm",
            choices=_instance_choices,
            results=_plain_results,
            forms=_norm_forms("InstanceNorm"),
            traits=trained("instance_norm"),
        ),
        Operation(
            name="weight_norm",
            choices=_wrapped_choices,
            results=_wrapped_results,
            forms=_wrapped_forms("WeightNorm"),
            traits=trained("weight_norm"),
        ),
        Operation(
            name="spectral_norm",
            choices=_wrapped_choices,
            results=_wrapped_results,
            forms=_wrapped_forms("SpectralNorm", mode="update_stats"),
            traits=trained("spectral_norm", state=frozenset({"batch_stats"}), uses_flag=True),
        ),
    ),
)
