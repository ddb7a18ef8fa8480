"""Freezing by path: single weights and sub-trees, and only they (C5)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from flaxlayer.json_values import UNFREEZE
from flaxlayer.typing import Json
from flaxlayer.weights.variables import FlaxWeights, trains
from flaxlayer_core import MatchPathPatternError, Path, format_path, match_paths, shorten

__all__ = ["FrozenPaths"]


@dataclass
class FrozenPaths:
    """The frozen variables of one layer; patterns wait until the layer is built.

    Attributes:
        pending: `(freeze, pattern)` in the order they were given before build.
        paths: Frozen paths of the built layer.
    """

    pending: list[tuple[bool, str]] = field(default_factory=list)
    paths: set[Path] = field(default_factory=set)

    def change(
        self, patterns: Iterable[str], weights: FlaxWeights | None, *, freeze: bool, title: str
    ) -> None:
        """Freezes or unfreezes what patterns select.

        Raises:
            MatchPathPatternError: If a pattern selects nothing, or is no text; nothing is changed
                then.
        """
        patterns = list(patterns)
        for pattern in patterns:
            _check_text(pattern, title)
        if weights is None:
            self.pending.extend((freeze, pattern) for pattern in patterns)
            return
        chosen = match_paths(patterns, weights.layout.paths, title=title)
        self.paths = self.paths | chosen if freeze else self.paths - chosen

    def resolve(self, weights: FlaxWeights, *, title: str) -> None:
        """Applies the patterns that waited for build."""
        # One walk over the variables for many patterns (S3).
        for freeze, given in itertools.groupby(self.pending, lambda waiting: waiting[0]):
            patterns = [pattern for _, pattern in given]
            self.change(patterns, weights, freeze=freeze, title=title)
        self.pending = []

    def apply(self, weights: FlaxWeights, *, trainable: bool) -> None:
        """Sets `trainable` of each variable from the layer's and from what is frozen."""
        pairs = zip(weights.layout.specs, weights.variables, strict=True)
        for spec, variable in pairs:
            free = spec.path not in self.paths
            variable.trainable = trainable and free and trains(spec, weights.layout)

    def to_config(self) -> list[Json]:
        """Returns patterns that select what is frozen, and those that wait, in their order."""
        waiting = [pattern if freeze else {UNFREEZE: pattern} for freeze, pattern in self.pending]
        return [*sorted(map(format_path, self.paths)), *waiting]

    def wait_for(self, stored: Iterable[Json]) -> None:
        """Lets the patterns of a configuration wait for the build.

        Args:
            stored: What `to_config` returned.
        """
        for entry in stored:
            freeze = isinstance(entry, str)
            self.pending.append((freeze, entry if freeze else entry[UNFREEZE]))


def _check_text(pattern: object, title: str) -> None:
    if not isinstance(pattern, str):
        raise MatchPathPatternError(
            f"{title} cannot use this as a path pattern.",
            expected="a text, such as 'params/encoder/**'",
            found=shorten(pattern),
            fix="Give each pattern as an argument: layer.freeze('params/a', 'params/b').",
            law="C5",
        )
