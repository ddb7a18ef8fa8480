"""Which lines of the product a run executes, so that changes of other lines need no run (T11)."""

from __future__ import annotations

import sys
from collections import defaultdict
from types import CodeType, FrameType
from typing import Any

from conformance.mutants.entry import SOURCES

__all__ = ["Reached", "reached_by_zoo"]


class Reached:
    """Collects the lines that this thread executes while it is open.

    Attributes:
        lines: The lines, by file from the folder of sources on.
    """

    def __init__(self) -> None:
        self.lines: dict[str, set[int]] = defaultdict(set)
        self._files: dict[CodeType, str] = {}

    def __enter__(self) -> Reached:
        sys.settrace(self._enter_frame)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)

    def _enter_frame(self, frame: FrameType, event: str, argument: object) -> Any:
        del event, argument
        file = self._file(frame.f_code)
        if not file:
            return None
        lines = self.lines[file]
        lines.add(frame.f_lineno)

        def note(frame: FrameType, event: str, argument: object) -> Any:
            del event, argument
            lines.add(frame.f_lineno)
            return note

        return note

    def _file(self, code: CodeType) -> str:
        if code not in self._files:
            roots = (f"{root}/" for root in SOURCES.values())
            found = (code.co_filename[len(r) :] for r in roots if code.co_filename.startswith(r))
            self._files[code] = next(found, "")
        return self._files[code]


def reached_by_zoo() -> dict[str, list[int]]:
    """Returns the lines that the checks of the zoo's rich modules execute, imports included."""
    with Reached() as reached:
        from conformance.mutants.tools.killers import check_zoo

        check_zoo()
    return {file: sorted(lines) for file, lines in reached.lines.items()}
