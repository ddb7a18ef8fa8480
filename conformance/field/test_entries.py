"""The entries are of packages as they were published; the scenario can fail, and be known to."""

import hashlib
from base64 import urlsafe_b64encode
from importlib import metadata
from pathlib import Path

import flax.linen as nn
import jax
import pytest
from flax import nnx

from conformance.field.entries import ENTRIES, PINS
from conformance.field.entry import SCENARIO, Published, load, normal, on
from conformance.field.running import use
from flaxlayer_testing import ExpectedFailure

PACKAGES = sorted({entry.package for entry in ENTRIES})


@pytest.mark.law("T12")
@pytest.mark.parametrize("package", PACKAGES)
def test_the_package_of_an_entry_is_installed_as_it_was_published(package):
    settings = dict(jax.config.values)
    distribution = metadata.distribution(package)
    assert distribution.version == PINS[package]
    hashes = {str(distribution.locate_file(file)): file.hash for file in distribution.files}
    for entry in ENTRIES:
        if entry.package == package:
            kind = load(entry.kind)
            assert issubclass(kind, nn.Module | nnx.Module)
            path = load(f"{kind.__module__}:__file__")
            made = hashlib.new(hashes[path].mode, Path(path).read_bytes()).digest()
            assert urlsafe_b64encode(made).decode().rstrip("=") == hashes[path].value
    assert dict(jax.config.values) == settings, "the package changes JAX for all others"


# Each outcome of the scenario can come about.

FLAW = ExpectedFailure(SCENARIO, "KeyError", "part", "for this test")


def fails(message):
    def scenario(entry):
        raise KeyError(message)

    return scenario


@pytest.mark.filterwarnings("ignore")
@pytest.mark.law("T6")
@pytest.mark.parametrize(
    ("known", "scenario", "status", "error"),
    [
        ((), lambda entry: None, "passed", ""),
        ((), fails("part"), "failed", "KeyError"),
        ((FLAW,), fails("a part of it"), "expected failure", "KeyError"),
        ((FLAW,), fails("else"), "failed", "stale"),
        ((FLAW,), lambda entry: None, "failed", "stale"),
    ],
    ids=["passes", "fails", "is known", "is another", "is gone"],
)
def test_a_scenario_ends_as_it_is_known_to(known, scenario, status, error):
    entry = Published("p", "m:K", "other", lambda kind: (kind, ()), known=on(*known))
    [found] = use(entry, scenario).entries
    assert (found.status, found.error_type) == (status, error)


# The scenario can fail.


class Leaks(nn.Module):
    """A module that counts its calls in a global: what it gives is not its arguments' alone."""

    @nn.compact
    def __call__(self, x):
        CALLS.append(None)
        return nn.Dense(2)(x) + len(CALLS)


CALLS: list[None] = []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.law("T12")
def test_a_module_that_gives_something_else_each_time_it_is_traced_is_found():
    entry = Published("p", f"{__name__}:Leaks", "other", lambda kind: (Leaks(), (normal(3, 2),)))
    [found] = use(entry).entries
    assert found.status == "failed"
    assert "prediction" in found.message
