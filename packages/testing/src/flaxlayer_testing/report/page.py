"""The static HTML page: one file, without a script and without the network (T8)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from flaxlayer_testing.report.matrix import by_check, by_feature
from flaxlayer_testing.report.plots import plot_errors, plot_faults
from flaxlayer_testing.report.record import Record
from flaxlayer_testing.report.report import Status

__all__ = ["render_page", "write_page"]

_ENVIRONMENT = Environment(
    loader=PackageLoader("flaxlayer_testing"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_page(record: Record, *, title: str = "Conformance of Flax modules in Keras") -> str:
    """Renders a record as a page.

    Args:
        record: What was found.
        title: The heading.

    Returns:
        HTML that stands alone.

    Example:

    ```python
    >>> render_page(Record(), title="Nothing yet").splitlines()[0]
    '<!doctype html>'

    ```
    """
    counts = Counter(entry.status for report in record.reports for entry in report.entries)
    failures = [(report, entry) for report in record.reports for entry in report.failures]
    return _ENVIRONMENT.get_template("report.html").render(
        title=title,
        record=record,
        counts=counts,
        Status=Status,
        failures=failures,
        known=_known(record),
        checks=by_check(record.reports),
        features=by_feature(record.reports),
        errors=plot_errors(record.reports, record.tolerances),
        faults=plot_faults(record.faults),
    )


def _known(record: Record) -> dict[tuple[str, str], dict[str, list[str]]]:
    # By layer and reason, then by check: the modules.
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for report in record.reports:
        for entry in report.of(Status.EXPECTED):
            checked = found.setdefault((report.layer, entry.message), {})
            checked.setdefault(entry.check, []).append(report.subject)
    return found


def write_page(record: Record, path: Path) -> None:
    """Writes the page of a record into a file, and makes its folder.

    Args:
        record: What was found.
        path: The file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_page(record), encoding="utf-8")
