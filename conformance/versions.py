"""The versions that are supported: from tox.ini, with what was run, to docs/versions.md.

Run: `python -m conformance.versions` after a change of tox.ini or of the record. To record a run of
an environment: `./dev NAME --junit-xml=FILE`, then
`.tox/NAME/bin/python -m conformance.versions NAME FILE`.
"""

from __future__ import annotations

import configparser
import json
import pathlib
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from xml.etree import ElementTree

from flaxlayer_testing.report.provenance import own_versions

__all__ = ["PAGE", "RECORD", "Environment", "environments", "page", "record", "recorded"]

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / "docs" / "versions.md"
RECORD = ROOT / "conformance" / "results" / "matrix.json"
SECTION = "testenv:{oldest-py311,prev-py311,latest-py311,latest-py312,latest-py313}"
SHOWN = ("keras", "jax", "flax", "numpy", "optax")
COUNTS = ("passed", "skipped", "failed", "seconds")


@dataclass(frozen=True)
class Environment:
    """An environment of tox.ini for a set of versions.

    Attributes:
        name: Its name.
        python: The minor version of Python, such as `3.11`.
        pins: The versions that are fixed, by distribution.
    """

    name: str
    python: str
    pins: dict[str, str]


def environments() -> tuple[Environment, ...]:
    """Returns the environments of the matrix, in the order of tox.ini."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini")
    installs = dict(_conditional_lines(config[SECTION]["commands_pre"]))
    names = re.search(r"{(.*)}", SECTION)[1].split(",")
    return tuple(
        Environment(
            name,
            re.sub(r".*-py(\d)(\d+)$", r"\1.\2", name),
            dict(re.findall(r"([\w-]+)==(\S+)", installs[name])),
        )
        for name in names
    )


def _conditional_lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.strip().replace("\\\n", " ").splitlines():
        name, _, command = line.partition(": ")
        yield name.strip(), command


def record(name: str, junit: pathlib.Path) -> dict[str, object]:
    """Returns what a run of an environment found, with the versions of this very environment.

    Args:
        name: Of the environment.
        junit: What pytest's --junit-xml wrote there.
    """
    [suite] = ElementTree.parse(junit).getroot().iter("testsuite")
    number = {key: int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped")}
    failed = number["failures"] + number["errors"]
    return {
        "environment": name,
        "python": platform.python_version(),
        "versions": {part: metadata.version(part) for part in (*SHOWN, "jaxlib")} | own_versions(),
        "date": suite.get("timestamp")[:10],
        "passed": number["tests"] - failed - number["skipped"],
        "skipped": number["skipped"],
        "failed": failed,
        "seconds": round(float(suite.get("time"))),
    }


def recorded() -> dict[str, dict[str, object]]:
    """Returns the records of runs by the name of their environment."""
    if not RECORD.exists():
        return {}
    return {entry["environment"]: entry for entry in json.loads(RECORD.read_text())}


def _keep(entry: dict[str, object]) -> None:
    known = {**recorded(), entry["environment"]: entry}
    ordered = [
        known[environment.name] for environment in environments() if environment.name in known
    ]
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(ordered, indent=1) + "\n")


def page() -> str:
    """Returns docs/versions.md."""
    return "\n".join([*_HEAD, *_table(), *_TAIL])


def _table() -> Iterator[str]:
    columns = ["environment", "Python", *SHOWN, *COUNTS, "run on"]
    yield "| " + " | ".join(columns) + " |"
    yield "|" + " --- |" * len(columns)
    runs = recorded()
    for environment in environments():
        run = runs.get(environment.name, {})
        cells = [f"`{environment.name}`", environment.python]
        cells += [environment.pins[name] for name in SHOWN]
        cells += [str(run.get(name, "not run")) for name in COUNTS] + [str(run.get("date", ""))]
        yield "| " + " | ".join(cells) + " |"


_HEAD = [*"""\
# Supported versions

These sets of versions of Keras, JAX and Flax were run; what is newer than the last row, or between
two, is likely to work, and is not promised.

Made by `python -m conformance.versions` from `tox.ini` and `conformance/results/matrix.json`.
`./dev NAME` runs an environment: the unit tests of core and layer, the comparison with
`keras.layers.FlaxLayer`, and every check on ten generated modules, on the JAX backend. The counts
are those of the tests. TensorFlow 2.21 is there in all but the oldest; `keras.layers.FlaxLayer`
needs it since Keras 3.14, the TensorFlow backend and `flaxlayer.export` do too.
""".splitlines(), ""]  # fmt: skip

_TAIL = """
The lower bounds in the `pyproject.toml` files are the versions of the first row.

## What stays compatible

- **Public** is what the root of a package has in `__all__`, the command `flaxlayer-conformance`,
  the options of the pytest plugin, and the keys of `[tool.flaxlayer]`. Everything else may change
  in any release.
- **Releases** follow Semantic Versioning; the three packages have one version and ask for exactly
  each other's. Before 1.0 a minor release (0.2.0) may change what is public, and a patch release
  (0.1.1) may not. What goes away gives a `DeprecationWarning` for at least one minor release
  before, with what to use instead; the changelog says so too.
- **Files** that a release wrote (`.keras`, `.weights.h5`, configurations) are read by all later
  ones; `packages/layer/tests/older` has some of older trees. A file of a later format is refused.
- **Numbers**: initial values and random keys of a seed ([randomness](randomness.md)) change in a
  minor release at most, and the changelog says so.
- **Python, Keras, JAX and Flax**: the oldest versions of this page are raised in minor releases
  alone. Later versions than those of this page are not excluded: where one moves something private
  that the packages use, a test in `tests/compat` fails first, and a patch release follows. Only the
  latest release gets mends.

## What is different in the oldest versions

- **JAX's persistent compilation cache must stay off in JAX 0.4.** A program that JAX 0.4.34 reads
  back from it on the CPU overwrites buffers that it does not own: `fit` then trains to other
  weights, or the process ends with a segmentation fault. The cache is off unless
  `JAX_COMPILATION_CACHE_DIR` is set.
- **Orbax checkpoints** need the `orbax` extra, which asks for a later JAX; Flax's msgpack files and
  safetensors are read with every version.
- **TensorFlow** (the `tensorflow` extra, for `export`) asks for a later JAX, too.
- **A distribution** needs Keras 3.10, whose variables take a layout; under an older Keras the layer
  refuses it by an error that says so. In Keras 3.14 `train_on_batch` fails under one with any
  layer.
- **nnx modules** need Flax 0.11; with an older one they are refused by an error that says so.
- Keras 3.6 finds the mask of an array by its identity, and may take that of an array that is gone.
- Keras 3.6 hides the message of a call with missing arguments inside a `Sequential` model behind an
  error of its own, stores a registered function without its package, does not divide an activity
  regulariser by the batch size, carries on no mask that the caller gave, and reads no file in which
  a layer of its own has settings of a later Keras. A layer that it first meets inside of another
  layer's symbolic call is built, and stored, with sizes that Keras made up for those left open.
- `"REFLECT"` as the padding of a convolution needs a later Flax.

## Why not older

| Version | What fails |
| --- | --- |
| Keras 3.5.0 | every call: the mask of a tensor is kept elsewhere |
| JAX 0.4.31 with Flax 0.8.5 | a class of `nn.jit` that comes from a configuration |
| JAX 0.4.30 with Flax 0.8.5 | 80 of 1,184 unit tests of core and layer |
| JAX 0.4.29 | the import: there is no `jax.export`, whose symbolic dimensions the build needs |

JAX 0.4.33 with Flax 0.9.0 passed when it was tried, but no environment keeps it so.
""".splitlines()


if __name__ == "__main__":
    if sys.argv[1:]:
        _keep(record(sys.argv[1], pathlib.Path(sys.argv[2])))
    PAGE.write_text(page() + "\n")
