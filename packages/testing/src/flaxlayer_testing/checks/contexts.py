"""Checks of what makes two calls different programs: contexts and static arguments (§5)."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.checks.needs import Need
from flaxlayer_testing.checks.registry import Errors, check, largest
from flaxlayer_testing.checks.variants import mask_of
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.oracle.double_precision import enable_x64
from flaxlayer_testing.oracle.flags import mode_arguments
from flaxlayer_testing.subject.keras_parts import GivesMask
from flaxlayer_testing.subject.layer import variables_of
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.subject import Subject

__all__ = ["check_contexts", "check_masked_statics", "check_static_arguments"]

_RULES = (("batch", "data"),)

CONTEXTS: tuple[tuple[str, Callable[[], Any]], ...] = (
    ("no context", contextlib.nullcontext),
    ("logical axis rules", lambda: nn.logical_axis_rules(_RULES)),
    ("another key implementation", lambda: jax.default_prng_impl("rbg")),
    ("another matmul precision", lambda: jax.default_matmul_precision("highest")),
    ("x64", lambda: enable_x64(True)),
    ("disabled jit", jax.disable_jit),
    ("no context again", contextlib.nullcontext),
)
"""The contexts that change what a module does, each by what a message calls it."""


_CONFIGURED = (
    "jax_default_prng_impl",
    "jax_default_matmul_precision",
    "jax_enable_x64",
    "jax_disable_jit",
)


def _seen() -> str:
    configured = {name: getattr(jax.config, name) for name in _CONFIGURED}
    return f"{configured}, axis rules {nn.get_logical_axis_rules()}"


def _tell_context(module: Any, *args: Any, **kwargs: Any) -> Any:
    """A method that says what it sees while it is traced."""
    del module, args, kwargs
    return jnp.zeros(()), _seen()


@check("A6", needs=(Need.TRACEABLE,))
def check_contexts(subject: Subject) -> None:
    """A call in a context that changes what a module does is none that was compiled elsewhere."""
    layer = subject.shared_layer().method(_tell_context)
    subject.build(layer)
    for name, context in CONTEXTS:
        with context():
            expected = _seen()
            _, found = subject.call(layer, training=False)
        if found != expected:
            raise KeepLawError(
                f"A call under {name} runs what was compiled for another context.",
                expected=expected,
                found=str(found),
                law="A6",
            )


class _Choice(enum.Enum):
    ONE = 1


STATICS = ("a", "b", 1, True, 2, _Choice.ONE, None, jnp.tanh, jnp.sin, "a")
"""Static values one after the other: some are equal, and some have the same hash."""


def _text(static: Any) -> str:
    return f"{type(static).__name__} {static}"


def _tell_static(module: Any, *args: Any, static: Any = "", **kwargs: Any) -> Any:
    """A method that says which static argument it was compiled for."""
    del module, args, kwargs
    return jnp.zeros(()), _text(static)


def _scale(module: Any, *args: Any, static: Any = 1.0, **kwargs: Any) -> Any:
    del module, args, kwargs
    return jnp.ones((), jnp.bfloat16) * static


@check("A1", needs=(Need.TRACEABLE,))
def check_static_arguments(subject: Subject) -> Errors:
    """Each static argument reaches the method as it is, and a float of Python as a weak number."""
    source = subject.shared_layer()
    layer = source.method(_tell_static)
    for static in STATICS:
        _, found = _call_with(subject, layer, static)
        if found != _text(static):
            raise KeepLawError(
                "A call with a static argument runs what was compiled for another.",
                expected=_text(static),
                found=str(found),
                law="A1",
            )
    scaled = source.method(_scale)
    path = "a half scaled by a float of Python"
    return largest(
        *(
            compare_trees(
                jnp.asarray(number, jnp.bfloat16),
                _call_with(subject, scaled, number),
                bitwise=True,
                path=path,
            )
            for number in (2.0, 3.0)
        )
    )


def _call_with(subject: Subject, layer: Any, static: Any) -> Any:
    backend = current_backend()
    args, kwargs = backend.to_backend((subject.inputs, dict(subject.arguments)))
    return backend.to_arrays(layer(*args, static=static, training=False, **kwargs))


@check("A4", needs=(Need.TRACEABLE, Need.MASK_ARGUMENT))
def check_masked_statics(subject: Subject) -> Errors:
    """A mask of Keras reaches an argument `mask` beside static arguments, too."""
    source, mask, raw = subject.shared_layer(), mask_of(subject), subject.oracle.raw

    def with_static(
        module: Any,
        *args: Any,
        mask: Any = None,
        static: str = "",
        training: bool = False,
        **kwargs: Any,
    ) -> Any:
        del static
        flags = mode_arguments(module, kwargs, subject.training_arg, training=training)
        # None is a mask of its own to a method that requires one.
        masked = {} if mask is None else {"mask": mask}
        return module(*args, **{**kwargs, **masked, **flags})

    call = raw.with_mask(None)
    backend = current_backend()
    (first, *rest), kwargs = backend.to_backend((call.inputs, dict(call.arguments)))
    masked = subject.oracle.with_call(raw.with_mask(jnp.asarray(mask)))
    # Before the call, which may draw and write.
    rngs, held = subject.expected.keys(source, training=False), variables_of(source)
    expected, _ = masked.apply(held, rngs, training=False)
    layer = source.method(with_static)
    actual = layer(GivesMask(mask)(first), *rest, static="a", training=False, **kwargs)
    path = "outputs behind a mask beside a static argument"
    return compare_runs(subject, expected, actual, path=path, inlined=True)
