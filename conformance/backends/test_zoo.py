"""Every entry of the zoo runs on a backend as raw Flax does, or is refused at build (K1, K4)."""

from dataclasses import replace

import keras
import pytest

from conformance.backends.refused import OTHER_ERRORS, REFUSALS
from conformance.test_zoo import deprecated, examine
from conformance.zoo import ENTRIES as LINEN
from conformance.zoo.nnx import NNX_ENTRIES as NNX
from flaxlayer_core import LowerModuleError
from flaxlayer_testing import checks
from flaxlayer_testing.run.samples import subject_of

ENTRIES = {f"linen/{entry.name}": entry for entry in LINEN}
ENTRIES |= {f"nnx/{entry.name}": entry for entry in NNX}
BACKEND = keras.backend.backend()
REFUSED = REFUSALS[BACKEND]
ALL = tuple(check.name for check in checks())
QUICK = ("check_training", "check_state_training", "check_gradients")
SOME = (
    "linen/GRUCellUnderRNN",
    "linen/WhileLoop",
    "linen/Cond",
    "linen/Vjp",
    "linen/Copied",
    "nnx/LoRA",
)

# Flax's own RoPE reads its tables so.
pytestmark = pytest.mark.filterwarnings("ignore:'.value' access is now:DeprecationWarning")


def entry_of(name):
    """Returns an entry with its known failures as the backend has them."""
    entry = ENTRIES[name]
    errors = OTHER_ERRORS[BACKEND].items()
    others = {check: error for (owner, check), error in errors if owner == name}
    known = (replace(known, error=others.get(known.check, known.error)) for known in entry.known)
    return replace(entry, known=tuple(known))


@deprecated
@pytest.mark.law("K1")
@pytest.mark.parametrize("name", SOME)
def test_some_entries_run_and_learn_as_raw_flax_does(name):
    examine(entry_of(name), QUICK).raise_for_failures()


@deprecated
@pytest.mark.long
@pytest.mark.law("K1")
@pytest.mark.parametrize("name", sorted(ENTRIES.keys() - REFUSED.keys()))
def test_an_entry_does_all_that_it_does_on_jax(name):
    examine(entry_of(name), ALL).raise_for_failures()


@pytest.mark.law("K4")
@pytest.mark.parametrize("name", REFUSED)
def test_what_the_backend_cannot_run_is_refused_at_build(name):
    assert REFUSED[name].reason
    with pytest.raises(LowerModuleError, match=REFUSED[name].operation):
        subject_of(ENTRIES[name]).built_layer()


@pytest.mark.law("T7", "K1")
@pytest.mark.parametrize(
    "entry", [entry for entry in LINEN if entry.probe], ids=lambda entry: entry.name
)
def test_the_program_of_an_entry_runs_here_too(entry):
    entry.probe()
