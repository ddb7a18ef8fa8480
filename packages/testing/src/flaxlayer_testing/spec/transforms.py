"""Transforms of a nested module: when they apply, what they make, how they are done (T1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from flaxlayer_testing.spec.operations import Traits
from flaxlayer_testing.spec.spec import ModuleSpec, ValueType

__all__ = ["TRANSFORMS", "Transform", "TransformForm"]

Types = Sequence[ValueType]

SIZE = 2
"""How often a transform repeats a module."""


def _unchanged(types: tuple[ValueType, ...]) -> tuple[ValueType, ...]:
    return types


def _plain(args: Types, results: Types) -> tuple[ValueType, ...]:
    return tuple(results)


def _any(inner: ModuleSpec, results: Types, traits: Traits) -> bool:
    return True


@dataclass(frozen=True)
class TransformForm:
    """How a framework does a transform.

    Attributes:
        call: Its Python expression, of `{run}`, a function that calls a module, or `{step}`, the
            call of a module `m` with `x`, of `{layer}`, the module, `{args}`, and `{nones}`, as
            many times `None`.
        make: The Python expression that makes the module, of `{name}`, the class of the nested
            spec, and `{fields}`; empty where that is as without a transform.
    """

    call: str
    make: str = ""


@dataclass(frozen=True, kw_only=True)
class Transform:
    """One entry of the registry of transforms.

    Attributes:
        feature: The feature that it shows.
        about: What that is.
        forms: How each framework that has it does it, by the name of the framework.
        fits: Whether it applies to a spec with these results and traits.
        without: Features that the module may not show.
        inputs: The types of the module's inputs, of those of the node's arguments.
        results: The types of what it makes, of those of the node's arguments and those of what the
            module makes.
    """

    feature: str
    about: str
    forms: Mapping[str, TransformForm]
    fits: Callable[[ModuleSpec, Types, Traits], bool] = _any
    without: frozenset[str] = frozenset()
    inputs: Callable[[tuple[ValueType, ...]], tuple[ValueType, ...]] = _unchanged
    results: Callable[[Types, Types], tuple[ValueType, ...]] = _plain


def _leading(size: int, types: Types) -> tuple[ValueType, ...]:
    return tuple(ValueType((size, *value.shape), value.dtype) for value in types)


def _closed(inner: ModuleSpec, results: Types, traits: Traits) -> bool:
    # What a layer returns is what the next one takes.
    return inner.structure == "array" and tuple(results) == inner.inputs


def _stacked(inner: ModuleSpec, results: Types, traits: Traits) -> bool:
    return inner.flag is None and _closed(inner, results, traits)


def _stateless(inner: ModuleSpec, results: Types, traits: Traits) -> bool:
    return len(inner.inputs) == 1 and inner.structure == "array" and not traits.state


def _trainable(inner: ModuleSpec, results: Types, traits: Traits) -> bool:
    return traits.trainable


def _steps(types: tuple[ValueType, ...]) -> tuple[ValueType, ...]:
    # A vector has no steps: then the module does not fit.
    return tuple(ValueType(value.shape[1:], value.dtype) for value in types)


# State would have to be told apart by steps, and `scan` takes params of `custom_vjp` for its own.
_OVER_TIME = frozenset(
    {
        *("batch_norm", "cond", "custom_state", "custom_vjp", "decode_cache"),
        *("masked_norm", "perturb", "spectral_norm"),
    }
)
_AXES = "variable_axes={True: 0}, split_rngs={True: True}"
_NAMED = "metadata_params={nn.PARTITION_NAME: None}"
_TIME = (
    "variable_broadcast='params', variable_axes={nn.DenyList('params'): 0}, "
    "split_rngs={'params': False, nn.DenyList('params'): True}, in_axes=1, out_axes=1"
)

_STACKED = f"stacked({{name}}, rngs, {SIZE})"

TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {
        "jit": Transform(
            feature="jit",
            about="nn.jit",
            forms={
                "linen": TransformForm("nn.jit({run})({layer}, {args})"),
                "nnx": TransformForm("nnx.jit({run})({layer}, {args})"),
            },
        ),
        "remat": Transform(
            feature="remat",
            about="nn.remat",
            forms={
                "linen": TransformForm("nn.remat({run})({layer}, {args})"),
                "nnx": TransformForm("nnx.remat({run})({layer}, {args})"),
            },
        ),
        "vmap": Transform(
            feature="vmap",
            about="nn.vmap",
            forms={
                "linen": TransformForm(
                    f"nn.vmap({{run}}, in_axes=None, out_axes=1, axis_size={SIZE}, {_AXES}, "
                    f"{_NAMED})({{layer}}, {{args}})"
                ),
                "nnx": TransformForm(
                    f"nnx.vmap({{run}}, in_axes=(0, {{nones}}), out_axes=1, axis_size={SIZE})"
                    "({layer}, {args})",
                    _STACKED,
                ),
            },
            results=lambda _, results: _leading(SIZE, results),
        ),
        "scan": Transform(
            feature="scan",
            about="nn.scan over layers, each with variables of its own",
            forms={
                "linen": TransformForm(
                    f"nn.scan(lambda m, c, _: (({{run}})(m, c), None), length={SIZE}, {_AXES}, "
                    f"{_NAMED})({{layer}}, {{args}}, None)[0]"
                ),
                "nnx": TransformForm(
                    f"nnx.scan({{run}}, length={SIZE}, in_axes=(0, nnx.Carry), out_axes=nnx.Carry)"
                    "({layer}, {args})",
                    _STACKED,
                ),
            },
            fits=_closed,
        ),
        "scan_time": Transform(
            feature="scan_time",
            about="nn.scan over time, with params in common",
            forms={
                "linen": TransformForm(
                    f"nn.scan(lambda m, c, x: (c, {{step}}), {_TIME})({{layer}}, (), {{args}})[1]"
                )
            },
            fits=_stateless,
            without=_OVER_TIME,
            inputs=_steps,
            results=lambda args, results: _leading(args[0].shape[0], results),
        ),
        "map_variables": Transform(
            feature="map_variables",
            about="nn.map_variables",
            forms={
                "linen": TransformForm(
                    "nn.map_variables({run}, 'params', doubled, init=self.is_initializing())"
                    "({layer}, {args})"
                )
            },
            fits=_trainable,
        ),
        "remat_scan": Transform(
            feature="remat_scan",
            about="nn.remat_scan",
            forms={
                "linen": TransformForm(
                    "{layer}({args})", f"nn.remat_scan({{name}}, lengths=({SIZE},))({{fields}})"
                )
            },
            fits=_stacked,
            # It calls the module without a flag, and knows no names for new axes.
            without=frozenset({"flag", "partition_metadata"}),
        ),
    }
)
"""Every transform by its name in the options of a nested node."""
