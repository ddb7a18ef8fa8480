"""Methods that take an `nnx.Rngs`, and the streams that they ask it for (R5)."""

from __future__ import annotations

import contextlib
import inspect
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax
from flax import nnx

from flaxlayer_testing.oracle.call import RawCall
from flaxlayer_testing.oracle.key_parameters import KeyParameter
from flaxlayer_testing.oracle.roles import arrays_of_both_modes

__all__ = ["with_asked_streams"]


class _Asked(nnx.Rngs):
    """Streams that note the names of those that are missing."""

    names: ClassVar[set[str]] = set()

    def __getattr__(self, name: str) -> Any:
        _note(name)
        return super().__getattr__(name)

    def __getitem__(self, name: str) -> Any:
        _note(name)
        return super().__getitem__(name)

    def __contains__(self, name: Any) -> bool:
        _note(name)
        return super().__contains__(name)


def _note(name: Any) -> None:
    # JAX asks any object whether it is like an array.
    if isinstance(name, str) and not name.startswith("_") and not hasattr(jax.Array, name):
        _Asked.names.add(name)


def with_asked_streams(raw: RawCall) -> RawCall:
    """Returns a call whose method gets an `nnx.Rngs` wherever it takes one and is given none.

    Args:
        raw: A call of a module of the user's, of whose parameters nothing was told.

    Returns:
        The same call, with the parameters that are annotated as `nnx.Rngs` or called `rngs`, and
        the streams that the method asks them for in training, or at inference where it needs them.
    """
    names = _lacking(raw)
    if not names or raw.keys or raw.own_streams:  # such a module draws from its own
        return raw
    found: set[str] = set()
    while asked := _asked(replace(raw, keys=_parameters(names, found, _Asked))) - found:
        found |= asked
    return replace(raw, keys=_parameters(names, found, nnx.Rngs))


def _asked(raw: RawCall) -> set[str]:
    _Asked.names.clear()
    with contextlib.suppress(Exception):  # a stream is missing; a real fault comes again
        jax.eval_shape(partial(_run, raw))
    return set(_Asked.names)


def _run(raw: RawCall) -> list[Any]:
    variables = raw.init({"params": jax.random.key(0)}, training=True)
    return arrays_of_both_modes(raw, variables, raw.arrays)


def _parameters(
    names: list[str], streams: set[str], rngs_class: type[nnx.Rngs]
) -> tuple[KeyParameter, ...]:
    first, *others = sorted(streams) or [""]
    return tuple(
        KeyParameter(name, first, as_rngs=True, others=tuple(others), rngs_class=rngs_class)
        for name in names
    )


def _lacking(raw: RawCall) -> list[str]:
    parameters = list(raw.signature.parameters.values())[1:]
    given = {*raw.arguments, *(each.name for each in parameters[: len(raw.inputs)])}
    if raw.base is nn.Module:
        given.add("rngs")  # `init` and `apply` have an argument of that name themselves
    return [each.name for each in parameters if each.name not in given and _takes_rngs(each)]


def _takes_rngs(parameter: inspect.Parameter) -> bool:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        return False
    told = parameter.annotation
    if told is parameter.empty:
        return parameter.name == "rngs"
    return "Rngs" in (told if isinstance(told, str) else inspect.formatannotation(told))
