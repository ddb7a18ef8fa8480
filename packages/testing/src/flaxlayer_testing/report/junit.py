"""JUnit's XML, for the services that show it (T8)."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from flaxlayer_testing.report.record import FaultResult, Record
from flaxlayer_testing.report.report import Entry, Report, Status
from flaxlayer_testing.stored import printable

__all__ = ["junit_xml", "write_junit"]


def junit_xml(record: Record) -> str:
    """Renders a record as JUnit's XML: a suite for each module, a case for each check.

    Args:
        record: What was found.

    Returns:
        XML.

    Example:

    ```python
    >>> junit_xml(Record())
    '<testsuites name="flaxlayer" />'

    ```
    """
    root = ElementTree.Element("testsuites", name="flaxlayer")
    for report in record.reports:
        _add_report(root, report)
    if record.faults:
        _add_faults(root, record.faults)
    return ElementTree.tostring(root, encoding="unicode")


def write_junit(record: Record, path: Path) -> None:
    """Writes the XML of a record into a file, and makes its folder.

    Args:
        record: What was found.
        path: The file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(junit_xml(record), encoding="utf-8")


def _add_report(root: ElementTree.Element, report: Report) -> None:
    counts = {
        "tests": len(report.entries),
        "failures": len(report.failures),
        "skipped": len(report.of(Status.SKIPPED)) + len(report.of(Status.EXPECTED)),
    }
    numbers = {name: str(count) for name, count in counts.items()}
    suite = ElementTree.SubElement(
        root, "testsuite", {"name": printable(report.subject), **numbers}
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in {**report.versions, "seed": str(report.seed)}.items():
        ElementTree.SubElement(properties, "property", name=printable(name), value=printable(value))
    for entry in report.entries:
        _add_entry(suite, report, entry)


def _add_entry(suite: ElementTree.Element, report: Report, entry: Entry) -> None:
    fields = {"classname": report.layer, "name": entry.check, "time": f"{entry.seconds:.3f}"}
    case = ElementTree.SubElement(suite, "testcase", {k: printable(v) for k, v in fields.items()})
    if entry.status is Status.FAILED:
        failure = ElementTree.SubElement(case, "failure", type=printable(entry.error_type))
        failure.text = printable(entry.failure_text())
    elif entry.status is not Status.PASSED:
        ElementTree.SubElement(
            case, "skipped", message=printable(f"{entry.status}: {entry.message}")
        )


def _add_faults(root: ElementTree.Element, faults: tuple[FaultResult, ...]) -> None:
    failed = sum(not fault.ok for fault in faults)
    fields = {"name": "faults", "tests": str(len(faults)), "failures": str(failed)}
    suite = ElementTree.SubElement(root, "testsuite", fields)
    for fault in faults:
        fields = {"classname": fault.check, "name": fault.fault, "time": f"{fault.seconds:.3f}"}
        case = ElementTree.SubElement(
            suite, "testcase", {k: printable(v) for k, v in fields.items()}
        )
        if not fault.ok:
            ElementTree.SubElement(case, "failure").text = printable(fault.message)
