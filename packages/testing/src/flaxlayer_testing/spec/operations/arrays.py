"""Operations on arrays that have no variables: activations, residual sums, shapes, dtypes."""

from __future__ import annotations

from math import prod

from flaxlayer_testing.spec.operations.forms import Site, dtype_text, in_both
from flaxlayer_testing.spec.operations.operation import (
    VOCABULARY,
    Choices,
    Operation,
    Part,
    Types,
    is_float,
    is_token,
    shows,
)
from flaxlayer_testing.spec.spec import Options, ValueType

__all__ = ["PART"]

ACTIVATIONS = ("relu", "tanh", "gelu", "sigmoid", "silu", "softmax", "elu", "softplus")
MAX_FEATURES = 8
MAX_FLAT = 40


def _floats(types: Types, rank: int) -> bool:
    return all(is_float(value) and len(value.shape) >= rank for value in types)


def _same(types: Types, options: Options) -> tuple[ValueType, ...]:
    return (types[0],)


def _activation_choices(types: Types) -> Choices | None:
    return {"function": ACTIVATIONS} if _floats(types, 1) else None


def _merge_choices(types: Types) -> Choices | None:
    if not _floats(types, 1) or types[0] != types[1]:
        return None
    return {"function": ("add", "multiply", "maximum")}


def _concat_choices(types: Types) -> Choices | None:
    left, right = types
    if not _floats(types, 1) or left != right or 2 * left.shape[-1] > MAX_FEATURES:
        return None
    return {}


def _concat_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    left, right = types
    return (ValueType((*left.shape[:-1], left.shape[-1] + right.shape[-1]), left.dtype),)


def _split_choices(types: Types) -> Choices | None:
    return {} if _floats(types, 1) and types[0].shape[-1] % 2 == 0 else None


def _split_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    (value,) = types
    half = ValueType((*value.shape[:-1], value.shape[-1] // 2), value.dtype)
    return (half, half)


def _mean_choices(types: Types) -> Choices | None:
    return {} if _floats(types, 2) else None


def _mean_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    return (ValueType(types[0].shape[1:], types[0].dtype),)


def _pool_choices(types: Types) -> Choices | None:
    if not _floats(types, 2) or min(types[0].shape[:-1]) < 2:
        return None
    return {"function": ("avg_pool", "max_pool")}


def _pool_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    *spatial, features = types[0].shape
    return (ValueType((*(size // 2 for size in spatial), features), types[0].dtype),)


def _pool_text(site: Site) -> str:
    x = site.args[0]
    function = f"{site.flax}.{site.options['function']}"
    return f"{function}({x}, (2,) * ({x}.ndim - 2), (2,) * ({x}.ndim - 2))"


def _flatten_choices(types: Types) -> Choices | None:
    return {} if _floats(types, 2) and prod(types[0].shape) <= MAX_FLAT else None


def _flatten_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    return (ValueType((prod(types[0].shape),), types[0].dtype),)


def _unflatten_choices(types: Types) -> Choices | None:
    fits = _floats(types, 1) and len(types[0].shape) <= 3 and types[0].shape[-1] % 2 == 0
    return {} if fits else None


def _unflatten_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    *leading, features = types[0].shape
    return (ValueType((*leading, 2, features // 2), types[0].dtype),)


def _swap_results(types: Types, options: Options) -> tuple[ValueType, ...]:
    first, second, *rest = types[0].shape
    return (ValueType((second, first, *rest), types[0].dtype),)


def _cast_choices(types: Types) -> Choices | None:
    if not _floats(types, 1):
        return None
    names = ("float32", "bfloat16", "float16")
    return {"dtype": tuple(name for name in names if name != types[0].dtype)}


def _activation_text(site: Site) -> str:
    return f"{site.flax}.{site.options['function']}({', '.join(site.args)})"


def _merge_text(site: Site) -> str:
    return f"jnp.{site.options['function']}({', '.join(site.args)})"


PART = Part(
    place=4,
    features={
        "arrays": {
            "activation": "an activation function",
            "cast": "a change of dtype between layers",
            "concat": "values joined along their features",
            "flatten": "a reshape to one dimension",
            "mean": "a mean over a dimension",
            "merge": "two values of one type joined by a sum, product or maximum",
            "one_hot": "one-hot encoding",
            "pool": "average or maximum pooling",
            "split": "an operation with two results",
            "swap_axes": "two dimensions exchanged",
            "unflatten": "features split into two dimensions",
        },
    },
    operations=(
        Operation(
            name="activation",
            choices=_activation_choices,
            results=_same,
            forms=in_both(_activation_text),
            traits=shows("activation"),
        ),
        Operation(
            name="merge",
            arity=2,
            choices=_merge_choices,
            results=_same,
            forms=in_both(_merge_text),
            traits=shows("merge"),
        ),
        Operation(
            name="concat",
            arity=2,
            choices=_concat_choices,
            results=_concat_results,
            forms=in_both(lambda site: f"jnp.concatenate([{', '.join(site.args)}], axis=-1)"),
            traits=shows("concat"),
        ),
        Operation(
            name="split",
            choices=_split_choices,
            results=_split_results,
            forms=in_both(lambda site: f"jnp.split({site.args[0]}, 2, axis=-1)"),
            traits=shows("split"),
        ),
        Operation(
            name="mean",
            choices=_mean_choices,
            results=_mean_results,
            forms=in_both(lambda site: f"jnp.mean({site.args[0]}, axis=1)"),
            traits=shows("mean"),
        ),
        Operation(
            name="pool",
            choices=_pool_choices,
            results=_pool_results,
            forms=in_both(_pool_text),
            traits=shows("pool"),
        ),
        Operation(
            name="flatten",
            weight=2,
            choices=_flatten_choices,
            results=_flatten_results,
            forms=in_both(
                lambda site: f"jnp.reshape({site.args[0]}, ({site.args[0]}.shape[0], -1))"
            ),
            traits=shows("flatten"),
        ),
        Operation(
            name="unflatten",
            choices=_unflatten_choices,
            results=_unflatten_results,
            forms=in_both(
                lambda site: f"jnp.reshape({site.args[0]}, (*{site.args[0]}.shape[:-1], 2, -1))"
            ),
            traits=shows("unflatten"),
        ),
        Operation(
            name="swap_axes",
            choices=_mean_choices,
            results=_swap_results,
            forms=in_both(lambda site: f"jnp.swapaxes({site.args[0]}, 1, 2)"),
            traits=shows("swap_axes"),
        ),
        Operation(
            name="cast",
            choices=_cast_choices,
            results=lambda types, options: (ValueType(types[0].shape, str(options["dtype"])),),
            forms=in_both(
                lambda site: f"{site.args[0]}.astype({dtype_text(site.options['dtype'])})"
            ),
            traits=shows("cast"),
        ),
        Operation(
            name="one_hot",
            choices=lambda types: {} if is_token(types[0]) else None,
            results=lambda types, _: (ValueType((*types[0].shape, VOCABULARY)),),
            forms=in_both(lambda site: f"jax.nn.one_hot({site.args[0]}, {VOCABULARY})"),
            traits=shows("one_hot"),
        ),
    ),
)
