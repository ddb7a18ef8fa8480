"""The keys that a layer under test has to use: those of R2, or of a rule of its own (T3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from flaxlayer_testing.oracle.keys import call_keys, init_keys

__all__ = ["KeyRule", "key_rule"]


class KeyRule(Protocol):
    """How layers derive the keys of their streams.

    What makes a layer that does not follow R2 may have one as its attribute `key_rule`.

    Attributes:
        asks: Whether it asks the layer.
    """

    asks: bool

    def of_init(self, layer: Any, seed: int, streams: Iterable[str]) -> dict[str, Any]:
        """Returns the keys of the streams that init gets."""

    def of_call(
        self, layer: Any, seed: int, draws: int, streams: Iterable[str], *, training: bool
    ) -> dict[str, Any]:
        """Returns the keys of a call before which some seeds were drawn."""


class _Law:
    """R2; a layer is not asked."""

    asks = False

    def of_init(self, layer: Any, seed: int, streams: Iterable[str]) -> dict[str, Any]:
        """Returns the keys of the streams that init gets."""
        return init_keys(seed, streams)

    def of_call(
        self, layer: Any, seed: int, draws: int, streams: Iterable[str], *, training: bool
    ) -> dict[str, Any]:
        """Returns the keys of a call before which some seeds were drawn."""
        return call_keys(seed, draws, streams)


_LAW = _Law()


def key_rule(factory: Any) -> KeyRule:
    """Returns how the layers of a factory derive their keys.

    Args:
        factory: Makes layers.

    Returns:
        Its own attribute `key_rule`, else R2.
    """
    rule: KeyRule = getattr(factory, "key_rule", _LAW)
    return rule
