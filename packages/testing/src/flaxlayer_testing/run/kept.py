"""Failing cases in Hypothesis's example database, which are tried first in the next search (T1)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic

from hypothesis.database import ExampleDatabase
from hypothesis.strategies import SearchStrategy

from flaxlayer_testing.run.case_stream import C, draw_kept

__all__ = ["KeptCase", "KeptCases"]


@dataclass(frozen=True)
class KeptCase(Generic[C]):
    """A case that failed in an earlier search.

    Attributes:
        case: The case.
        check: The check that failed.
        choices: What the database holds of it.
    """

    case: C
    check: str
    choices: bytes


@dataclass(frozen=True)
class KeptCases:
    """The failing cases of searches with the same settings.

    Attributes:
        database: Where they are.
        settings: What the searches have in common, as text.
    """

    database: ExampleDatabase
    settings: tuple[str, ...]

    def _key(self, check: str) -> bytes:
        return b"flaxlayer:" + json.dumps([*self.settings, check]).encode()

    def fetch(self, strategy: SearchStrategy[C], checks: Iterable[str]) -> list[KeptCase[C]]:
        """Returns the cases that some checks failed; what is no case any more is forgotten.

        Args:
            strategy: Draws a case.
            checks: Names of checks.

        Returns:
            The cases, those of each check in one order.
        """
        kept: dict[C, KeptCase[C]] = {}
        for check in checks:
            for choices in sorted(self.database.fetch(self._key(check))):
                case = draw_kept(strategy, choices)
                if case is None:
                    self.database.delete(self._key(check), choices)
                else:
                    kept.setdefault(case, KeptCase(case, check, choices))
        return list(kept.values())

    def save(self, check: str, choices: bytes) -> None:
        """Keeps the smallest case that a check fails."""
        self.database.save(self._key(check), choices)

    def forget(self, kept: KeptCase[C]) -> None:
        """Forgets a case that its check no longer fails, or that has shrunk."""
        self.database.delete(self._key(kept.check), kept.choices)
