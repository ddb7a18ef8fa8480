"""Parameters of a method that get random keys when the caller gives none (R5)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from flax import nnx

__all__ = ["KeyParameter", "supplied_keys", "wanted_keys"]

_SPARE = 0


@dataclass(frozen=True)
class KeyParameter:
    """A parameter of a method that takes random keys.

    Attributes:
        name: The parameter.
        stream: The stream of its key, or the stream that an `nnx.Rngs` is asked for.
        as_rngs: Whether it takes an `nnx.Rngs`.
        others: Further streams that an `nnx.Rngs` is asked for.
        rngs_class: What makes the `nnx.Rngs`.
    """

    name: str
    stream: str
    as_rngs: bool = False
    others: tuple[str, ...] = ()
    rngs_class: type[nnx.Rngs] = nnx.Rngs

    @property
    def streams(self) -> tuple[str, ...]:
        """All of its streams; none where nothing is asked for."""
        return (self.stream, *self.others) if self.stream else ()


def supplied_keys(
    parameters: Sequence[KeyParameter],
    signature: inspect.Signature,
    given: Mapping[str, Any],
    rngs: Mapping[str, Any],
    *,
    training: bool,
) -> dict[str, Any]:
    """Returns the keyword arguments that give a method its keys.

    Args:
        parameters: Those that take keys.
        signature: The signature of the method.
        given: What the caller gives, by name, which wins.
        rngs: A key for each stream; `params` serves those that have none.
        training: The mode: at inference a method gets no key that it can do without.

    Returns:
        The arguments to add to those of the caller.

    Example:

    ```python
    >>> def call(x, key, noise=None): ...
    >>> taken = [KeyParameter("key", "a"), KeyParameter("noise", "b")]
    >>> keys = {"a": jax.random.key(0), "b": jax.random.key(1)}
    >>> list(supplied_keys(taken, inspect.signature(call), {}, keys, training=False))
    ['key']

    ```
    """
    wanted = wanted_keys(parameters, signature, given, training=training)
    return {part.name: _make(part, rngs) for part in wanted}


def wanted_keys(
    parameters: Sequence[KeyParameter],
    signature: inspect.Signature,
    given: Mapping[str, Any],
    *,
    training: bool,
) -> tuple[KeyParameter, ...]:
    """Returns the parameters that get a key in a call, as for `supplied_keys`."""
    return tuple(
        part
        for part in parameters
        if part.name in signature.parameters
        and part.name not in given
        and (training or _is_required(signature.parameters[part.name]))
    )


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty


def _make(part: KeyParameter, rngs: Mapping[str, Any]) -> Any:
    if part.as_rngs:
        return part.rngs_class(**{name: _key(name, rngs) for name in part.streams})
    return jax.numpy.asarray(_key(part.stream, rngs))


def _key(stream: str, rngs: Mapping[str, Any]) -> Any:
    # R4: any key does where nothing is drawn from it, and so its stream is none of the call's.
    key = rngs.get(stream, rngs.get("params"))
    return jax.random.key(_SPARE) if key is None else key
