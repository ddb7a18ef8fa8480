"""What `keras.layers.FlaxLayer` does and does not pass of the checks, as data (T6).

Run: `python -m conformance.known_reference` runs every check of every entry with the installed
Keras, keeps what fails and why in `results/reference.json`, and writes docs/reference.md; with
`--page` it only writes the page. A failure that no reason of `reference_reasons.toml` describes is
shown, and then nothing is kept.
"""

from __future__ import annotations

import json
import pathlib
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from conformance.figures import provenance
from conformance.zoo import ENTRIES
from flaxlayer_testing import ExpectedFailure, Report, Status, run_report
from flaxlayer_testing.run.samples import subject_of

__all__ = ["FEATURES", "PAGE", "Reason", "examine", "known", "page", "reasons", "recorded"]

ROOT = pathlib.Path(__file__).parents[1]
DATA = ROOT / "conformance" / "results" / "reference.json"
PAGE = ROOT / "docs" / "reference.md"

# Which entry of the zoo stands for which feature.
FEATURES: Mapping[str, str] = {
    "Dense": "a layer of Flax as it is",
    "Embed": "integer inputs",
    "Training": "dropout and running statistics under `training`",
    "IsTraining": "`is_training`, with a default",
    "Eval": "`eval`, which means inference",
    "Frozen": "a training flag of any name",
    "TwoInputs": "several inputs",
    "KeywordArrays": "arrays by keyword",
    "StaticArguments": "static arguments",
    "PytreesInOut": "pytrees in and out",
    "NoneInOut": "optional inputs",
    "AbstractFirst": "several methods",
    "Masked": "masks",
    "Guarded": "collections of one's own",
    "Decoder": "a decode cache",
    "LazyState": "state made at inference",
    "TwoStreams": "rng streams of any name",
    "AsksForStream": "`has_rng`",
    "SowsDefault": "sown values",
    "SowsLoss": "sown losses",
    "KeyState": "typed keys as state",
    "Params_bfloat16": "bfloat16 params",
    "Params_int32": "integer params",
    "ComplexDense": "complex params",
    "Boxed": "partition metadata",
    "Stateless": "no variables",
    "Fields": "fields of every kind",
}
_ENTRIES = {entry.name: entry for entry in ENTRIES}


@dataclass(frozen=True)
class Reason:
    """Why a check fails.

    Attributes:
        name: A short name.
        error: The name of the error's class.
        message: A part of its message.
        text: The reason.
        checks: The checks whose failures it explains; any if empty.
        entries: The entries of the zoo whose failures it explains; any if empty.
    """

    name: str
    error: str
    message: str
    text: str
    checks: Sequence[str] = ()
    entries: Sequence[str] = ()

    def explains(self, name: str, check: str, error: str, message: str) -> bool:
        """Tells whether a failure of a check of an entry is of this kind."""
        asked = (not self.checks or check in self.checks) and (
            not self.entries or name in self.entries
        )
        return asked and error == self.error and self.message in message


def reasons() -> tuple[Reason, ...]:
    """Returns the reasons in their order."""
    path = ROOT / "conformance" / "reference_reasons.toml"
    return tuple(Reason(**entry) for entry in tomllib.loads(path.read_text())["reason"])


def recorded() -> dict[str, Any]:
    """Returns what was found, by version of Keras."""
    return json.loads(DATA.read_text()) if DATA.exists() else {}


def known(name: str, version: str) -> list[ExpectedFailure]:
    """Returns the known failures of an entry with a version of Keras."""
    found = recorded()[version]["entries"][name]["failed"]
    texts = {reason.name: reason.text for reason in reasons()}
    return [
        ExpectedFailure(check, kept["error"], kept["message"], texts[kept["reason"]], (version,))
        for check, kept in found.items()
    ]


def examine(
    name: str, expected: Sequence[ExpectedFailure] = (), only: Sequence[str] | None = None
) -> Report:
    """Runs the checks of an entry with the reference."""
    from conformance.reference_layer import Reference  # Keras is asked for it only here

    subject = subject_of(_ENTRIES[name], layer=Reference)
    return run_report(subject, only=only, expected_failures=expected)


def _explained(name: str, report: Report) -> Iterator[tuple[str, dict[str, str]]]:
    for entry in report.failures:
        for reason in reasons():
            if reason.explains(name, entry.check, entry.error_type, entry.message):
                kept = {"reason": reason.name, "error": reason.error, "message": reason.message}
                yield entry.check, kept
                break


def _run() -> dict[str, Any]:
    entries, unknown = {}, []
    for name in FEATURES:
        report = examine(name)
        failed = dict(_explained(name, report))
        passed = len(report.of(Status.PASSED))
        entries[name] = {"passed": passed, "failed": failed}
        unknown += [(name, entry) for entry in report.failures if entry.check not in failed]
        print(f"{name}: {passed} passed, {len(report.failures)} failed", flush=True)
    for name, entry in unknown:
        print(f"\nNo reason: {name} {entry.check} {entry.error_type}\n{entry.message[:1200]}")
    if unknown:
        sys.exit(1)
    return {**provenance(), "entries": entries}


def page() -> str:
    """Returns docs/reference.md."""
    runs = recorded()
    return "\n".join([*_HEAD, *_features(runs), *_MIDDLE, *_reasons(runs)]) + "\n"


def _features(runs: Mapping[str, Any]) -> Iterator[str]:
    columns = ["feature", "`flaxlayer.FlaxLayer`", *(f"the reference, Keras {v}" for v in runs)]
    yield "| " + " | ".join(columns) + " |"
    yield "|" + " --- |" * len(columns)
    for name, feature in FEATURES.items():
        cells = [feature, "all that apply"]
        cells += [_cell(run["entries"][name]) for run in runs.values()]
        yield "| " + " | ".join(cells) + " |"


def _cell(found: Mapping[str, Any]) -> str:
    total = found["passed"] + len(found["failed"])
    if not found["passed"]:
        [(why, _)] = Counter(kept["reason"] for kept in found["failed"].values()).most_common(1)
        return f"0 of {total}: {why}"
    return f"{found['passed']} of {total}"


def _reasons(runs: Mapping[str, Any]) -> Iterator[str]:
    columns = ["reason", "what happens", *(f"checks failed, Keras {v}" for v in runs)]
    yield "| " + " | ".join(columns) + " |"
    yield "|" + " --- |" * len(columns)
    counts = [
        Counter(
            kept["reason"] for found in run["entries"].values() for kept in found["failed"].values()
        )
        for run in runs.values()
    ]
    for name, text in {reason.name: reason.text for reason in reasons()}.items():
        yield "| " + " | ".join([name, text, *(str(count[name] or "-") for count in counts)]) + " |"


_HEAD = [
    "# The checks, with `keras.layers.FlaxLayer`",
    "",
    "Which of the checks `keras.layers.FlaxLayer`, the reference, passes, feature by feature, and",
    "why others fail. A cell counts the checks that passed among those that apply to one module",
    "with the feature; where none passed, what most of them end with stands beside it. That",
    "`flaxlayer.FlaxLayer` passes is tested with the zoo, in `conformance/test_zoo.py`.",
    "",
    "Made by `python -m conformance.known_reference` from `conformance/results/reference.json`.",
    "The reference ran as it is installed; `conformance/reference_layer.py` only reads it. Since",
    "Keras 3.14 it needs TensorFlow to make its weights, on the JAX backend too; it was",
    "installed here.",
    "",
]

_MIDDLE = ["", "## Why checks fail", ""]


if __name__ == "__main__":
    if "--page" not in sys.argv:
        data = {**recorded(), keras.__version__: _run()}
        ordered = sorted(data.items(), key=lambda item: [int(part) for part in item[0].split(".")])
        DATA.write_text(json.dumps(dict(ordered), indent=1) + "\n")
    PAGE.write_text(page())
