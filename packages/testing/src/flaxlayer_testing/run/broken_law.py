"""A scenario in which a layer breaks a law, as it is saved and replayed (T9)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from flaxlayer_testing.errors import ReadRecordError, in_short
from flaxlayer_testing.scenario.scenario import Scenario
from flaxlayer_testing.stored import mapping, parse, read, text

__all__ = ["BrokenLaw"]


@dataclass(frozen=True)
class BrokenLaw:
    """A scenario in which a layer breaks a law, as it is saved and replayed.

    Attributes:
        scenario: The scenario.
        message: What broke.
    """

    scenario: Scenario
    message: str

    def save(self, path: Path) -> None:
        """Writes it into a JSON file, and makes its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = json.loads(self.scenario.to_json())
        data = {"format": 1, "scenario": stored, "message": self.message}
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> BrokenLaw:
        """Reads what `save` wrote.

        Raises:
            ReadRecordError: If it holds no scenario.
        """
        try:
            data = mapping(parse(read(path)))
            return cls(Scenario.from_data(data["scenario"]), text(data["message"]))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ReadRecordError(
                f"{path} holds no scenario to replay.",
                expected="a file that a search of scenarios saved",
                found=in_short(error),
                fix="Name that file.",
                law="T9",
            ) from error
