"""Every public piece of Flax, and every law, has an entry that runs as raw Flax does (T7)."""

import flax.linen as nn
import pytest

from conformance.laws import LAWS
from conformance.zoo import ENTRIES, Entry
from conformance.zoo.completeness import (
    EXCLUDED,
    linen_classes,
    missing,
    stale_exclusions,
    transforms,
    wanted,
)
from conformance.zoo.entry import X
from flaxlayer_testing import ExpectedFailure, checks, run_report
from flaxlayer_testing.report.report import Status
from flaxlayer_testing.run.samples import subject_of

pytestmark = pytest.mark.slow

# These compile programs of their own or build the layer again, so they come with `-m long`.
COMPILING = (
    "check_returned_sown",
    "check_stateless_call",
    "check_op_by_op",
    "check_mixed_policy",
    "check_explicit_dtype",
    "check_functional_model",
    "check_sequential_model",
    "check_subclassed_model",
    "check_gradients",
    "check_train_step",
    "check_fit",
    "check_frozen_params",
    "check_frozen_trace",
    "check_state_updates",
    "check_other_batches",
    "check_contexts",
    "check_static_arguments",
    "check_masked_statics",
    "check_given_form",
    "check_wrong_file",
    "check_wrong_shapes",
    "check_weight_values",
    "check_given_variables",
    "check_model_json",
    "check_cloned_model",
    "check_copied_model",
    "check_pickled_model",
    "check_weights_file",
    "check_wrong_arguments",
)
QUICK = tuple(check.name for check in checks() if check.name not in COMPILING)

each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


def deprecated(test):
    """Lets a test run classes that Flax deprecates: they stand in the zoo until they go."""
    for warning in ("The Fp8DotGeneralOp is deprecated", "SelfAttention will be deprecated"):
        test = pytest.mark.filterwarnings(f"ignore:{warning}:DeprecationWarning")(test)
    return test


def examine(entry, names):
    """Returns the report of an entry for some checks."""
    known = [known for known in entry.known if known.check in names]
    return run_report(subject_of(entry), only=names, expected_failures=known)


@deprecated
@pytest.mark.law("T7")
@each_entry
def test_an_entry_builds_runs_and_is_saved_as_raw_flax_does(entry):
    if entry.probe:
        entry.probe()
    report = examine(entry, QUICK)
    report.raise_for_failures()
    laws = {name.removeprefix("law.") for name in entry.covers if name.startswith("law.")}
    checked = {law for found in report.of(Status.PASSED) for law in found.laws}
    assert entry.probe or laws <= checked, "an entry stands for a law that nothing checked"


@deprecated
@pytest.mark.long
@pytest.mark.law("T7")
@each_entry
def test_an_entry_learns_and_refuses_as_raw_flax_does(entry):
    examine(entry, COMPILING).raise_for_failures()


@pytest.mark.law("T7")
def test_every_public_linen_class_has_an_entry():
    assert missing(linen_classes(vars(nn)), ENTRIES) == []


@pytest.mark.law("T7")
def test_every_lifted_transform_has_an_entry():
    assert missing(transforms(vars(nn)), ENTRIES) == []


@pytest.mark.law("T7")
def test_every_law_has_an_entry():
    assert missing((f"law.{law}" for law in LAWS), ENTRIES) == []


@pytest.mark.law("T7")
def test_the_lists_are_read_from_flax():
    assert {"linen.Dense", "linen.RNN", "linen.WeightNorm"} <= linen_classes(vars(nn))
    assert {"transform.scan", "transform.vjp", "transform.cond"} <= transforms(vars(nn))


@pytest.mark.law("T7")
def test_a_new_class_transform_or_law_without_an_entry_is_named():
    class NewLayer(nn.Module):
        pass

    def new_transform():
        pass

    new_transform.__module__ = nn.scan.__module__
    namespace = {**vars(nn), "NewLayer": NewLayer, "new_transform": new_transform}
    assert missing(linen_classes(namespace), ENTRIES) == ["linen.NewLayer"]
    assert missing(transforms(namespace), ENTRIES) == ["transform.new_transform"]
    assert missing(["law.C1", "law.Z9"], ENTRIES) == ["law.Z9"]


@pytest.mark.law("T7")
def test_a_class_whose_entry_goes_is_named():
    fewer = [entry for entry in ENTRIES if "linen.PReLU" not in entry.covers]
    assert missing(wanted(), fewer) == ["linen.PReLU"]


@pytest.mark.law("T6")
def test_no_exclusion_is_stale():
    assert all(EXCLUDED.values())
    assert stale_exclusions(wanted(), ENTRIES) == []
    assert stale_exclusions(wanted() - {"linen.RNNCellBase"}, ENTRIES) == ["linen.RNNCellBase"]
    covering = Entry("covers it", ("linen.Module",), lambda: (nn.Dense(1), ()))
    assert stale_exclusions(wanted(), [covering]) == ["linen.Module"]


def test_an_entry_covers_what_exists_under_a_name_of_its_own():
    names = [entry.name for entry in ENTRIES]
    assert sorted({name for name in names if names.count(name) > 1}) == []
    covered = {name for entry in ENTRIES for name in entry.covers}
    features = {name for name in covered if name.startswith("feature.")}
    assert covered - features - wanted() == set()


@pytest.mark.law("T6")
def test_a_known_failure_that_does_not_come_about_fails_its_entry():
    known = (ExpectedFailure("check_inference", "ValueError", "gone", "for this test"),)
    entry = Entry("stale", (), lambda: (nn.Dense(1), (X,)), known=known)
    report = examine(entry, ["check_inference"])
    assert [found.status for found in report.entries] == [Status.FAILED]
