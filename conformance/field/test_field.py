"""Published modules pass the checks, and are used as raw Flax says (T12)."""

import gc

import jax
import pytest

from conformance.field.entries import ENTRIES
from conformance.field.running import check, use

# Whatever other people's packages make Python, JAX and Keras say.
pytestmark = pytest.mark.filterwarnings("ignore")

each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.ident)


@pytest.fixture(autouse=True)
def released():
    """What was compiled for one module is of no use to another."""
    yield
    jax.clear_caches()
    gc.collect()


@pytest.mark.jax_only("the checks of a module, against its raw side")
@pytest.mark.law("T12")
@each_entry
def test_a_published_module_passes_every_check(entry):
    check(entry).raise_for_failures()


@pytest.mark.law("T12")
@each_entry
def test_a_published_module_is_trained_frozen_saved_and_loaded_as_raw_flax_says(entry):
    use(entry).raise_for_failures()
