"""A layer at one time, whole: what a refused call or load must leave as it was (C4, S6)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flaxlayer_core import FlaxLayerError
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.subject.layer import Snapshot

__all__ = ["LayerRecord"]


@dataclass(frozen=True)
class LayerRecord:
    """What a layer is at one time.

    Attributes:
        values: The values of all its Keras variables by path, the state of its seed included.
        facts: Its configuration, whether it is built, which variables it has and trains, as text.
    """

    values: Mapping[str, Any]
    facts: Mapping[str, str]

    @classmethod
    def of(cls, layer: Any) -> LayerRecord:
        """Returns the record of a layer as it is now."""
        trained = [variable.path for variable in layer.trainable_variables]
        facts = {
            "variables": ", ".join(f"{v.path} #{id(v)}" for v in layer.variables),
            "trainable variables": ", ".join(trained),
            "configuration": _configuration(layer),
            "built flag": str(bool(layer.built)),
        }
        return cls(Snapshot(layer).tree(), facts)

    def refuse_changes(self, layer: Any, what: str, law: str) -> dict[str, float]:
        """Raises if a layer is no longer as it was.

        Args:
            layer: The layer.
            what: What was refused meanwhile.
            law: The law that says that it changes nothing.

        Returns:
            The largest error by dtype: zeros.

        Raises:
            KeepLawError: If its configuration, variables or flags changed.
            ParityError: If a value changed.
        """
        now = LayerRecord.of(layer)
        for name, before in self.facts.items():
            if now.facts[name] != before:
                raise KeepLawError(
                    f"A layer that refused {what} has not the {name} that it had.",
                    expected=before,
                    found=now.facts[name],
                    law=law,
                )
        path = f"variables after {what}"
        return compare_trees(self.values, now.values, bitwise=True, path=path)


def _configuration(layer: Any) -> str:
    try:
        return json.dumps(layer.get_config(), sort_keys=True)
    except FlaxLayerError as error:  # a field that cannot be stored (S1)
        return str(error)
