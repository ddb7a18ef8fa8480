"""What tests of every package share: a process of their own, and how Hypothesis draws."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

import pytest
from flax import nnx
from hypothesis import Phase, settings

# A first example pays for tracing, so no deadline. To explain what was found takes longer than to
# find and shrink it.
settings.register_profile("drawing", deadline=None, phases=set(Phase) - {Phase.explain})
settings.load_profile("drawing")

if not hasattr(nnx, "data"):
    # No newer Flax has this hook, which could hide there that nnx modules are refused.
    _REFUSED = "FlaxLayer cannot take an nnx module with this version of Flax."

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Skips what failed since the layer takes no nnx module, here or in another process."""
        report = yield
        error = call.excinfo and call.excinfo.value
        while report.failed and error is not None:
            if _REFUSED in str(error):
                path, line, _ = item.location
                report.outcome = "skipped"
                report.longrepr = (path, (line or 0) + 1, "Skipped: nnx modules need flax 0.11")
            error = error.__cause__ or error.__context__
        return report


@pytest.fixture
def passes_in_a_process() -> Callable[..., None]:
    """Runs tests in a process of their own, with other environment variables."""

    def run(paths: Iterable[Path], **variables: str) -> None:
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--doctest-modules"]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
        for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS"):
            environment.pop(name, None)
        done = subprocess.run(
            [*command, *map(str, paths)], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]

    return run


@pytest.fixture
def within_limits() -> Callable[..., str]:
    """Runs code in a process that ends where it takes more time or memory than its input can."""

    def run(code: str, *, cpu_seconds: int = 60, memory: int = 12 << 30) -> str:
        limits = ((resource.RLIMIT_CPU, cpu_seconds), (resource.RLIMIT_AS, memory))
        set_limits = "".join(
            f"resource.setrlimit({which}, ({most}, {most}))\n" for which, most in limits
        )
        done = subprocess.run(
            [sys.executable, "-"],
            input=f"import resource\n{set_limits}{code}",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr[-2000:]}"
        return done.stdout

    return run
