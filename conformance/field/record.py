"""What a run of the field leaves: a line for each module, and the page made of them (T8)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from conformance.field.entries import ENTRIES, PINS
from conformance.field.entry import SCENARIO, Published
from flaxlayer_testing import Record, Status

__all__ = ["DATA", "PAGE", "condensed", "merged", "page", "recorded", "written"]

ROOT = Path(__file__).parents[2]
DATA = ROOT / "conformance" / "results" / "field.json"
PAGE = ROOT / "docs" / "field.md"
IN_USE = " (in use)"
WORDS = {
    Status.PASSED: "passed",
    Status.SKIPPED: "skipped",
    Status.EXPECTED: "known",
    Status.FAILED: "failed",
}


def condensed(record: Record) -> dict[str, Any]:
    """Returns what is kept of the reports of a run: how each check of each module ended.

    Args:
        record: The reports, of any backends.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    versions: dict[str, Mapping[str, str]] = {}
    for report in record.reports:
        name = report.subject.removesuffix(IN_USE)
        backend = "tensorflow" if "tensorflow-cpu" in report.versions else "jax"
        versions[backend] = report.versions
        kept = found.setdefault(name, {}).setdefault(backend, {"seconds": 0.0})
        kept["commit"] = report.versions.get("commit", "")
        kept["seconds"] = round(kept["seconds"] + sum(entry.seconds for entry in report.entries), 1)
        for entry in report.entries:
            kept.setdefault(WORDS[entry.status], []).append(entry.check)
    return {"created": record.created, "versions": versions, "modules": found}


def merged(known: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is kept after a run: what ended well in it, else what was kept before.

    Args:
        known: What was kept.
        found: What was found by a run, of any entries.
    """
    modules = {}
    for title in (entry.title for entry in ENTRIES):
        new = {name: part for name, part in found["modules"].get(title, {}).items() if _whole(part)}
        modules[title] = {**known["modules"].get(title, {}), **new}
    versions = {**known["versions"], **found["versions"]}
    return {"created": found["created"], "versions": versions, "modules": modules}


def _whole(part: Mapping[str, Any]) -> bool:
    return "failed" not in part and SCENARIO in [*part.get("passed", ()), *part.get("known", ())]


def written(data: Mapping[str, Any]) -> str:
    """Returns the text of the file, with a line for each module."""
    head = {name: part for name, part in data.items() if name != "modules"}
    lines = [f"  {json.dumps(n)}: {json.dumps(found)}" for n, found in data["modules"].items()]
    opened = json.dumps(head, indent=1).removesuffix("\n}")
    return opened + ',\n "modules": {\n' + ",\n".join(lines) + "\n }\n}\n"


def recorded() -> dict[str, Any]:
    """Returns what is kept."""
    if not DATA.exists():
        return {"created": "", "versions": {}, "modules": {}}
    return json.loads(DATA.read_text(encoding="utf-8"))


def page() -> str:
    """Returns docs/field.md."""
    data = recorded()
    return "\n".join([*_HEAD, *_summary(data), *_table(data), *_checks(data), *_failures()]) + "\n"


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _rows(head: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    head = list(head)
    yield _row(*head)
    yield "|" + " --- |" * len(head)
    yield from (_row(*row) for row in rows)


def _summary(data: Mapping[str, Any]) -> Iterator[str]:
    packages = {entry.package for entry in ENTRIES}
    yield f"{len(ENTRIES)} modules of {len(packages)} packages:"
    yield ""
    counts = Counter(entry.domain for entry in ENTRIES)
    yield from _rows(["domain", "modules"], sorted(counts.items()))
    yield ""
    for backend, versions in data["versions"].items():
        shown = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield f"- `{backend}`: {shown}"
    yield ""


def _table(data: Mapping[str, Any]) -> Iterator[str]:
    yield "## Modules"
    yield ""
    head = ["package", "version", "module", "domain", "checks passed", "skipped", "known failures"]
    head += ["in use, JAX", "in use, TensorFlow"]
    yield from _rows(head, (_cells(entry, data["modules"][entry.title]) for entry in ENTRIES))
    yield ""


def _cells(entry: Published, found: Mapping[str, Any]) -> Iterator[object]:
    on_jax, on_tensorflow = found.get("jax", {}), found.get("tensorflow", {})
    yield from (entry.package, PINS[entry.package], f"`{entry.kind}`", entry.domain)
    passed = [name for name in on_jax.get("passed", ()) if name != SCENARIO]
    yield from (len(passed), len(on_jax.get("skipped", ()))) if on_jax else ("not run", "not run")
    yield ", ".join(name for name in on_jax.get("known", ()) if name != SCENARIO)
    yield from (_use(part) for part in (on_jax, on_tensorflow))


def _use(found: Mapping[str, Any]) -> str:
    words = ("passed", "known")
    return next((word for word in words if SCENARIO in found.get(word, ())), "not run")


def _checks(data: Mapping[str, Any]) -> Iterator[str]:
    counts: dict[str, Counter[str]] = {}
    for found in data["modules"].values():
        for word in ("passed", "skipped", "known"):
            for name in found.get("jax", {}).get(word, ()):
                counts.setdefault(name, Counter())[word] += 1
    yield "## Checks, on JAX"
    yield ""
    words = ["passed", "skipped", "known"]
    rows = ([f"`{name}`", *(count[word] for word in words)] for name, count in counts.items())
    yield from _rows(["check", "passed", "skipped", "known to fail"], sorted(rows))
    yield ""


def _failures() -> Iterator[str]:
    yield "## Known failures"
    yield ""
    rows = [
        [entry.title, backend or "both", f"`{failure.check}`", failure.error, failure.reason]
        for entry in ENTRIES
        for backend, failures in entry.known.items()
        for failure in failures
    ]
    yield from _rows(["module", "backend", "check", "error", "reason"], rows)


_HEAD = """\
# The field

See here whether a package that you use is among those whose modules were run as layers, and what
passed. Yours is not there? [Is my module ready?](start/ready.md) is one command.

Made by `python -m conformance.field` from `conformance/results/field.json` and the entries in
`conformance/field/packages`. Each is a module of a package from the registry, imported as it is
installed, with pinned versions, and built tiny. On the JAX backend every check of
`flaxlayer_testing.checks()` runs that applies, and on both backends a scenario: the module stands
in a functional model with a head of Keras's, its predictions and two steps of `fit` are compared
with raw Flax and gradient descent by JAX, the second with a frozen weight, and the saved model is
opened in a process that only registers its class. "not run" stands where no run is kept yet.

""".splitlines()
