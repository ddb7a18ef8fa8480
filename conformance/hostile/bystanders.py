"""What a load must not touch: the tables of known names, and layers of other models (S6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np

from conformance.hostile.route import read_json
from flaxlayer_core.config import world

__all__ = ["Bystanders", "overwrite", "registry"]

_FILLING = 9.0


def registry() -> dict[str, dict[Any, Any]]:
    """Returns the tables of known names, copied."""
    return {
        "registered": dict(world._registered),
        "remembered": dict(world._remembered),
        "keras": dict(keras.saving.get_custom_objects()),
    }


def _restore(before: Mapping[str, Mapping[Any, Any]]) -> None:
    held = {
        "registered": world._registered,
        "remembered": world._remembered,
        "keras": keras.saving.get_custom_objects(),
    }
    for name, table in held.items():
        table.clear()
        table.update(before[name])


@dataclass(frozen=True)
class Snapshot:
    """How things were before a load."""

    tables: Mapping[str, Mapping[Any, Any]]
    values: Sequence[np.ndarray[Any, Any]]


class Bystanders:
    """Live layers of other models, some of them with the sharing tokens of the honest things.

    Args:
        honest: The folder of honest things.
    """

    def __init__(self, honest: Path) -> None:
        stored = ("method/net.json", "method/encode.json", "config/dense.json", "config/net.json")
        self.layers = [
            keras.saving.deserialize_keras_object(read_json(honest / name)) for name in stored
        ]
        self.model = keras.models.model_from_json((honest / "model/shared.json").read_text())

    def _values(self) -> list[np.ndarray[Any, Any]]:
        variables = [v for layer in (*self.layers, self.model) for v in layer.variables]
        return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]

    def snapshot(self) -> Snapshot:
        """Notes how they are."""
        return Snapshot(registry(), self._values())

    def changes(self, before: Snapshot, *, refused: bool) -> Iterator[str]:
        """Yields what has changed, and puts the tables back, so that no case depends on another.

        Args:
            before: How they were.
            refused: Whether the load was refused: then no name may be known that was not.
        """
        tables, values = registry(), self._values()
        _restore(before.tables)
        if any(
            not np.array_equal(old, new) for old, new in zip(before.values, values, strict=True)
        ):
            yield "a layer of another model has changed"
        new = {
            str(name) for table in tables for name in tables[table].keys() ^ before.tables[table]
        }
        if refused and tables != before.tables:
            yield f"a refused file has changed what names stand for: {sorted(new)[:3]}"


def overwrite(loaded: Any) -> None:
    """Fills what was loaded, so that what shares it changes too."""
    for variable in getattr(loaded, "variables", ()):
        if not isinstance(variable.value, jax.core.Tracer):
            variable.assign(np.full(variable.shape, _FILLING).astype(variable.dtype))
