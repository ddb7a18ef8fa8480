"""One Hypothesis profile, and a line that says how many generated modules were checked a minute."""

import importlib
import pkgutil
import statistics

from hypothesis import HealthCheck, settings

import conformance
import flaxlayer
import flaxlayer_core
import flaxlayer_testing


def _import_all(package):
    # Hypothesis draws the constants of what is imported, too: which examples a test sees must not
    # depend on the tests that ran before it.
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        name = found.name.rpartition(".")[2]
        if not name.startswith(("test_", "__main__", "conftest")):
            importlib.import_module(found.name)


for _package in (flaxlayer_core, flaxlayer, flaxlayer_testing, conformance):
    _import_all(_package)

# A first example pays for tracing, so no deadline; the same examples on every machine.
settings.register_profile(
    "conformance",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("conformance")


def pytest_terminal_summary(terminalreporter):
    """Sums up what the generated tests recorded, whichever process ran them."""
    counts, tried = {}, []
    for report in terminalreporter.stats.get("passed", []):
        recorded = dict(report.user_properties)
        tried += [recorded["tried"]] if "tried" in recorded else []
        if "modules" in recorded:
            modules, seconds = counts.get(recorded["checks"], (0, 0.0))
            counts[recorded["checks"]] = (
                modules + recorded["modules"],
                seconds + recorded["seconds"],
            )
    if tried:
        terminalreporter.write_line(
            f"conformance: {len(tried)} faults found after {statistics.median(tried):.0f} "
            f"generated modules (median), {max(tried)} at most"
        )
    for name, (modules, seconds) in sorted(counts.items()):
        rate = 60 * modules / max(seconds, 1e-9)
        terminalreporter.write_line(
            f"conformance: {modules} generated modules through the {name} checks in {seconds:.0f} "
            f"process seconds, {rate:.0f} a minute for each process"
        )
