"""What each check says of one faulty layer, on the first generated module that shows it.

Run: `python -m conformance.failures` after a check or its message changed. The pages of the checks
show what it writes into `conformance/results/failures.json`.
"""

from __future__ import annotations

import json
import pathlib

from hypothesis.errors import NoSuchExample

from conformance.faults import FAULTS
from flaxlayer_testing import Status, Subject, checks, run_report
from flaxlayer_testing.run.fault_search import find_fault

__all__ = ["RESULTS", "read_failures"]

RESULTS = pathlib.Path(__file__).parent / "results" / "failures.json"
_SEED = 0


def read_failures() -> dict[str, dict[str, str]]:
    """Returns what was recorded, by check: fault, error and message."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def failure_of(fault) -> dict[str, str] | None:
    """Returns how a check fails with a faulty layer, None where no module shows it."""
    try:
        case, _ = find_fault(fault, _SEED)
    except NoSuchExample:
        return None
    subject = Subject.from_case(case).with_layer(fault.layer)
    report = run_report(subject, only=[fault.check])
    failed = next(
        entry
        for entry in report.entries
        if entry.status is Status.FAILED and fault.message in entry.message
    )
    return {
        "fault": fault.layer.__name__,
        "error": failed.error_type,
        "message": failed.message,
    }


def main() -> None:
    """Searches for one fault of each check, and writes how it fails."""
    found = {}
    for check in checks(slow=True):
        for fault in FAULTS:
            failure = failure_of(fault) if fault.check == check.name else None
            if failure is not None:
                found[check.name] = failure
                break
        print(check.name, found.get(check.name, {}).get("fault", "none"), flush=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
