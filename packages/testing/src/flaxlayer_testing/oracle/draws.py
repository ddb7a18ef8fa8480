"""The streams that a linen module draws from, found by watching it (R1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import jax
from flax.core import Scope
from flax.errors import InvalidRngError

__all__ = ["streams_of", "watched_streams"]


@dataclass
class _Watched:
    """What a module did with its streams while it ran once."""

    drawn: set[str] = field(default_factory=set)
    lacked: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)


@contextmanager
def _watching() -> Iterator[_Watched]:
    watched = _Watched()
    has_rng, make_rng, temporary = Scope.has_rng, Scope.make_rng, Scope.temporary
    entered: list[Scope] = []

    @contextmanager
    def entering(scope: Scope) -> Iterator[Scope]:
        # Each `init` and `apply` enters a scope: one inside of another has keys of its own.
        entered.append(scope)
        try:
            with temporary(scope) as root:
                yield root
        finally:
            entered.pop()

    def asking(scope: Scope, name: str) -> bool:
        if len(entered) < 2:
            watched.asked.add(name)
        return has_rng(scope, name)

    def drawing(scope: Scope, name: str = "params") -> Any:
        if len(entered) > 1:
            return make_rng(scope, name)
        there = has_rng(scope, name)
        (watched.drawn if there else watched.lacked).add(name)
        if not there and has_rng(scope, "params"):
            watched.drawn.add("params")  # which Flax takes instead
        with patch.object(Scope, "has_rng", has_rng):  # Flax asks it, not the module
            return make_rng(scope, name)

    with patch.multiple(Scope, has_rng=asking, make_rng=drawing, temporary=entering):
        yield watched


def streams_of(run: Callable[[Mapping[str, Any]], Any], given: Iterable[str]) -> frozenset[str]:
    """Returns those of some streams that a linen module draws from, if it has no others.

    Args:
        run: Runs raw Flax with a key for each stream.
        given: The streams.

    Returns:
        The names of those that keys were drawn from.

    Example:

    ```python
    >>> import flax.linen as nn, jax.numpy as jnp
    >>> dropout, x = nn.Dropout(0.5, deterministic=False), jnp.ones(3)
    >>> streams_of(lambda rngs: dropout.apply({}, x, rngs=rngs), ["params", "noise"])
    frozenset({'params'})

    ```
    """
    with _watching() as watched:
        run({name: jax.random.key(0) for name in sorted(given)})
    return frozenset(watched.drawn)


def watched_streams(
    run: Callable[[Mapping[str, Any]], Any], *, first: Iterable[str] = (), curious: bool
) -> frozenset[str]:
    """Returns the streams that a linen module draws from.

    It is run with ever more streams, until it has those that it wants.

    Args:
        run: Runs raw Flax with a key for each stream.
        first: Streams that it is given at once.
        curious: Whether it also gets a stream that it only asks about by `has_rng`.

    Returns:
        The names of those that keys were drawn from.

    Raises:
        flax.errors.InvalidRngError: If it lacks a stream that it was given, as a lifted transform
            does that does not hand it on.

    Example:

    ```python
    >>> import flax.linen as nn, jax.numpy as jnp
    >>> dropout, x = nn.Dropout(0.5, deterministic=False), jnp.ones(3)
    >>> watched_streams(lambda rngs: dropout.apply({}, x, rngs=rngs), curious=False)
    frozenset({'dropout'})

    ```
    """
    given = set(first)
    while True:
        failure: InvalidRngError | None = None
        with _watching() as watched:
            try:
                run({name: jax.random.key(0) for name in sorted(given)})
            except InvalidRngError as error:
                failure = error
        wanted = watched.lacked | (watched.asked if curious else set())
        if wanted <= given:
            break
        given |= wanted
    if failure is not None:
        raise failure
    return frozenset(watched.drawn)
