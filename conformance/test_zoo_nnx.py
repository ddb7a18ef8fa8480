"""Every public module of `flax.nnx` has an entry that runs as plain NNX does (T7)."""

import pytest
from flax import nnx

if not hasattr(nnx, "data"):
    pytest.skip("nnx modules ask for Flax 0.11", allow_module_level=True)

from conformance.zoo.completeness import (
    NNX_EXCLUDED,
    missing,
    nnx_classes,
    nnx_wanted,
    stale_exclusions,
)
from conformance.zoo.nnx import NNX_ENTRIES
from flaxlayer_testing import checks, run_report
from flaxlayer_testing.run.samples import subject_of

# Flax's own RoPE reads its tables so.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:'.value' access is now:DeprecationWarning"),
]

QUICK = ("check_build_paths", "check_training", "check_inference", "check_object_kept")
REST = tuple(check.name for check in checks() if check.name not in QUICK)

each_entry = pytest.mark.parametrize("entry", NNX_ENTRIES, ids=lambda entry: entry.name)


def examine(entry, names):
    """Returns the report of an entry for some checks."""
    known = [known for known in entry.known if known.check in names]
    return run_report(subject_of(entry), only=names, expected_failures=known)


@pytest.mark.law("T7")
@each_entry
def test_an_entry_builds_and_runs_as_plain_nnx_does(entry):
    examine(entry, QUICK).raise_for_failures()


@pytest.mark.long
@pytest.mark.law("T7")
@each_entry
def test_an_entry_learns_is_saved_and_refuses_as_plain_nnx_does(entry):
    examine(entry, REST).raise_for_failures()


@pytest.mark.law("T7")
def test_every_public_class_of_nnx_has_an_entry():
    assert missing(nnx_wanted(), NNX_ENTRIES, NNX_EXCLUDED) == []


@pytest.mark.law("T7")
def test_the_list_is_read_from_flax():
    assert {"nnx.Linear", "nnx.RNN", "nnx.LoRA", "nnx.bridge.ToNNX"} <= nnx_wanted()
    assert "nnx.bridge.ToLinen" in nnx_wanted()


@pytest.mark.law("T7")
def test_a_new_class_without_an_entry_is_named():
    class NewLayer(nnx.Module):
        pass

    names = nnx_classes({**vars(nnx), "NewLayer": NewLayer})
    assert missing(names, NNX_ENTRIES, NNX_EXCLUDED) == ["nnx.NewLayer"]


@pytest.mark.law("T7")
def test_a_class_whose_entry_goes_is_named():
    fewer = [entry for entry in NNX_ENTRIES if "nnx.PReLU" not in entry.covers]
    assert missing(nnx_wanted(), fewer, NNX_EXCLUDED) == ["nnx.PReLU"]


@pytest.mark.law("T6")
def test_no_exclusion_is_stale():
    assert all(NNX_EXCLUDED.values())
    assert stale_exclusions(nnx_wanted(), NNX_ENTRIES, NNX_EXCLUDED) == []


def test_an_entry_covers_what_exists_under_a_name_of_its_own():
    names = [entry.name for entry in NNX_ENTRIES]
    assert sorted({name for name in names if names.count(name) > 1}) == []
    covered = {name for entry in NNX_ENTRIES for name in entry.covers}
    features = {name for name in covered if name.startswith("feature.")}
    assert covered - features - nnx_wanted() == set()
