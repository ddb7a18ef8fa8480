"""One Hypothesis profile, and the figures of the generated modules at the end of a session."""

import importlib
import importlib.util
import pathlib
import pkgutil
import time

import jax
import keras
import pytest
from flax import nnx
from hypothesis import HealthCheck, settings

import conformance
import flaxlayer
import flaxlayer_core
import flaxlayer_testing
from conformance.figures import Figures

STARTED = pytest.StashKey[float]()


# What needs TensorFlow, which takes seconds to import, or torch; nnx modules on an older Flax.
_ELSEWHERE: tuple[str, ...] = (
    ".backends.tensorflow",
    ".backends.conversions",
    ".backends.torch",
    ".private_torch",
    ".torch_backend",
    ".exports.endpoints",
    ".exports.litert",
    ".tensorflow_operations",
    ".from_tensorflow",
    ".keras_suite",
)
if not hasattr(nnx, "data"):
    _ELSEWHERE += (".zoo.nnx", ".faults.nnx")


def _import_all(package):
    # Hypothesis draws the constants of what is imported, too: which examples a test sees must not
    # depend on the tests that ran before it.
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        name = found.name.rpartition(".")[2]
        own = not any(part in found.name for part in _ELSEWHERE)
        if own and not name.startswith(("test_", "__main__", "conftest")):
            importlib.import_module(found.name)


# Packages of other people are in an environment of their own (./dev field).
_FIELD = all(importlib.util.find_spec(name) for name in ("ml_collections", "transformers"))
_BACKEND = keras.backend.backend()
collect_ignore = [] if _BACKEND == "tensorflow" else ["tensorflow"]
collect_ignore += ["backends"] if _BACKEND == "jax" else ["test_tensorflow.py", "test_torch.py"]
collect_ignore += [] if _FIELD else ["field"]

for _package in (flaxlayer_core, flaxlayer, flaxlayer_testing, conformance):
    _import_all(_package)

# The same examples on every machine.
settings.register_profile(
    "conformance",
    settings.get_profile("drawing"),
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("conformance")


def pytest_addoption(parser):
    """Adds the option that keeps the figures."""
    parser.addoption(
        "--figures",
        type=pathlib.Path,
        help="Where the figures of generated modules go.",
    )


def pytest_configure(config):
    """Notes when the session began."""
    config.stash[STARTED] = time.perf_counter()


@pytest.fixture(autouse=True)
def forget_programs(request):
    """After a long test, drops what was compiled for its modules: gigabytes over a session."""
    yield
    if request.node.get_closest_marker("long"):
        jax.clear_caches()


def pytest_terminal_summary(terminalreporter, config):
    """Sums up what the generated tests recorded."""
    stats = terminalreporter.stats
    figures = Figures(stats.get("passed", []), [*stats.get("failed", []), *stats.get("error", [])])
    for line in figures.lines():
        terminalreporter.write_line(f"conformance: {line}")
    path = config.getoption("--figures")
    if path is not None and not hasattr(config, "workerinput"):
        seconds = time.perf_counter() - config.stash[STARTED]
        path.write_text(figures.to_json(seconds), encoding="utf-8")
