"""Layers that share weights keep sharing them through a configuration (S4, A3).

A `FlaxMethod` stores the whole configuration of the `FlaxLayer` whose weights it uses, and so does
that layer itself. Both carry one token. The first of them to be made again makes the `FlaxLayer`;
the others join it. Keras's own sharing of objects does not reach into nested configurations.
"""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flaxlayer import compat

if TYPE_CHECKING:
    from flaxlayer.layer import FlaxLayer

__all__ = ["new_token", "revive_shared"]


@dataclass
class _Revival:
    """One `FlaxLayer` made again, and the layers that have joined it, by name."""

    layer: weakref.ref[FlaxLayer]
    joined: set[str]

    def find(self, member: str, *, again: bool) -> FlaxLayer | None:
        """Returns the layer for a member that may join, unless it is gone or has joined before."""
        layer = self.layer()
        if layer is None or (member in self.joined and not again):
            return None
        self.joined.add(member)
        return layer


def new_token() -> str:
    """Returns a token that no other layer has."""
    return uuid.uuid4().hex


def revive_shared(token: Any, member: str, make: Callable[[], FlaxLayer]) -> FlaxLayer:
    """Returns the layer that stands for a token in what is being loaded.

    Inside `load_model`, `copy.deepcopy` and unpickling, everything with one token is one layer.
    `from_config`, `model_from_json` and `clone_model` do not say where a model begins: there a
    name that comes a second time begins the next model.

    Args:
        token: What the configuration has; None for a layer that shares with nobody.
        member: The name of the layer that wants to join.
        make: Makes the `FlaxLayer` from its configuration.

    Returns:
        A layer, new or shared.
    """
    if not isinstance(token, str):
        return make()
    loading = compat.objects_in_loading()
    revivals = compat.thread_table("flaxlayer_revivals") if loading is None else loading
    key = f"flaxlayer/{token}"
    revival: _Revival | None = revivals.get(key)
    layer = revival.find(member, again=loading is not None) if revival else None
    if layer is None:
        layer = make()
        revivals[key] = _Revival(weakref.ref(layer), {member})
    return layer
