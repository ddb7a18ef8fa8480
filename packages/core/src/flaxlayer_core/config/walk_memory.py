"""What a walk to JSON and the walks that try its result out know in common."""

from __future__ import annotations

__all__ = ["Memory"]

from dataclasses import dataclass, field

from flaxlayer_core.config.object_codecs import Codec


@dataclass
class Memory:
    """What a walk to JSON and the walks that check it know in common.

    Args:
        names: What each name of the file stands for.
        chosen: The codec of a class, as its latest object was stored; None for its fields.
        verified: Objects by id, with the codec that is known to make them again.
    """

    names: dict[str, object] = field(default_factory=dict)
    chosen: dict[type, Codec | None] = field(default_factory=dict)
    verified: dict[int, tuple[object, Codec | None]] = field(default_factory=dict)
