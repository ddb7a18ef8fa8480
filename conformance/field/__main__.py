"""Writes what was found of the field: conformance/results/field.json, and the page docs/field.md.

`./dev field` leaves its reports in `.cache/field` and ends with this program. A module that ended
well takes the place of what was kept of it on that backend; the others stay as they are. With
folders of reports, it takes those; with `--page` it only writes the page.
"""

from __future__ import annotations

import sys
from pathlib import Path

from conformance.field.record import DATA, PAGE, condensed, merged, page, recorded, written
from flaxlayer_testing import Record

REPORTS = Path(__file__).parents[2] / ".cache" / "field"


def _reports(folders: list[Path]) -> Record:
    paths = sorted(path for folder in folders for path in folder.rglob("report.json"))
    return Record.join(Record.from_json(path.read_text(encoding="utf-8")) for path in paths)


if __name__ == "__main__":
    if "--page" not in sys.argv:
        found = condensed(_reports(list(map(Path, sys.argv[1:])) or [REPORTS]))
        DATA.write_text(written(merged(recorded(), found)), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
