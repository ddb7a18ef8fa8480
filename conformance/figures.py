"""The figures of a run over generated modules: how many, how fast, how near (T4, T8)."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from datetime import UTC, datetime

from flaxlayer_testing.checks.registry import largest
from flaxlayer_testing.report.versions import versions

__all__ = ["Figures", "provenance"]


def provenance():
    """Returns when and with what a file of figures is made: versions, and the commit."""
    return {"created": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC", "versions": versions()}


class Figures:
    """What the tests of a session recorded, whichever process ran them.

    Args:
        passed: The reports of the tests that passed, as pytest keeps them.
        failed: Those of the tests that failed.
    """

    def __init__(self, passed, failed):
        self.tried = []
        self.checked = defaultdict(
            lambda: {"modules": 0, "explained": 0, "process_seconds": 0.0, "errors": {}}
        )
        self.failed = [report.nodeid for report in failed]
        for report in passed:
            self._add(dict(report.user_properties))

    def _add(self, recorded):
        if "tried" in recorded:
            self.tried.append(recorded["tried"])
        if "modules" in recorded:
            total = self.checked[recorded["checks"]]
            total["modules"] += recorded["modules"]
            total["explained"] += recorded["explained"]
            total["process_seconds"] += recorded["seconds"]
            total["errors"] = largest(total["errors"], recorded["errors"])

    def lines(self):
        """Yields them as text."""
        if self.tried:
            median = statistics.median(self.tried)
            yield (
                f"{len(self.tried)} faults found after {median:.0f} generated modules (median), "
                f"{max(self.tried)} at most"
            )
        for name, total in sorted(self.checked.items()):
            rate = 60 * total["modules"] / max(total["process_seconds"], 1e-9)
            yield (
                f"{total['modules']} generated modules through the {name} checks in "
                f"{total['process_seconds']:.0f} process seconds, {rate:.0f} a minute for each "
                "process"
            )

    def to_json(self, seconds):
        """Returns them as JSON, with the seconds that the whole session took."""
        data = {
            **provenance(),
            "seconds": round(seconds, 1),
            "failed": self.failed,
            "checked": {
                name: {**total, "process_seconds": round(total["process_seconds"], 1)}
                for name, total in sorted(self.checked.items())
            },
        }
        return json.dumps(data, indent=1) + "\n"
