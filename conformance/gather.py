"""Takes the figures of long runs into the repository, and makes the pages of them.

Run: `python -m conformance.gather FOLDER`, where FOLDER holds a folder for each machine. That of a
run of the matrix ends in the name of its environment. The nightly workflow does so.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from conformance import figures_page, known_reference, versions
from conformance.field import record

__all__ = ["gather"]

Run = dict[str, Any]


def gather(folder: Path, results: Path = figures_page.RESULTS) -> list[str]:
    """Copies files of figures; a run of the matrix takes the place of that of its environment.

    Args:
        folder: Where the files are, at any depth.
        results: Where they go.

    Returns:
        The names of the files that changed.
    """
    changed = dict.fromkeys(
        path.name for path in sorted(folder.rglob("*.json")) if _take(path, results / path.name)
    )
    return list(changed)


def _take(path: Path, place: Path) -> bool:
    text, known = path.read_text(encoding="utf-8"), ""
    if place.exists():
        known = place.read_text(encoding="utf-8")
    if path.name == versions.RECORD.name and known:
        text = _with_run_of(path.parent.name, json.loads(known), json.loads(text))
    if text == known:
        return False
    place.write_text(text, encoding="utf-8")
    return True


def _with_run_of(machine: str, known: list[Run], found: list[Run]) -> str:
    # The other runs in its file are those of the checkout that it began with.
    own = {run["environment"]: run for run in found if machine.endswith(str(run["environment"]))}
    merged = [own.pop(run["environment"], run) for run in known]
    return json.dumps([*merged, *own.values()], indent=1) + "\n"


if __name__ == "__main__":
    print("\n".join(gather(Path(sys.argv[1]))) or "nothing new")
    figures_page.PAGE.write_text(figures_page.page(), encoding="utf-8")
    versions.PAGE.write_text(versions.page() + "\n", encoding="utf-8")
    known_reference.PAGE.write_text(known_reference.page(), encoding="utf-8")
    record.PAGE.write_text(record.page(), encoding="utf-8")
