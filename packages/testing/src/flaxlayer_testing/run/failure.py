"""A generated case that a layer fails, as it is saved and replayed (T1)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from flaxlayer_testing.errors import ReadRecordError, in_short
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.stored import mapping, parse, read, text

__all__ = ["OURS", "Failure"]

OURS = "flaxlayer:FlaxLayer"


@dataclass(frozen=True)
class Failure:
    """A generated case that a layer fails, as it is saved and replayed.

    Attributes:
        case: The case.
        check: The check that fails.
        layer: The layer as `module:name`.
    """

    case: Case
    check: str
    layer: str = OURS

    def save(self, path: Path) -> None:
        """Writes the failure into a JSON file, and makes its folder."""
        case = json.loads(self.case.to_json())
        path.parent.mkdir(parents=True, exist_ok=True)
        data = {"format": 1, "check": self.check, "layer": self.layer, "case": case}
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Failure:
        """Reads what `save` wrote.

        Args:
            path: A file.

        Returns:
            An equal failure.

        Raises:
            ReadRecordError: If it holds no failure.
        """
        try:
            data = mapping(parse(read(path)))
            return cls(Case.from_data(data["case"]), text(data["check"]), text(data["layer"]))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ReadRecordError(
                f"{path} holds no failure to replay.",
                expected="a file that `flaxlayer-conformance search` saved",
                found=in_short(error),
                fix="Name that file.",
                law="T8",
            ) from error
