"""The reference fails the checks as its data says: no more, no less, and each for a reason (T6)."""

import json

import keras
import pytest

from conformance.known_reference import (
    DATA,
    FEATURES,
    PAGE,
    Reason,
    examine,
    known,
    page,
    reasons,
    recorded,
)
from conformance.reference_layer import MISSING
from conformance.zoo import ENTRIES
from flaxlayer_testing import checks

VERSION = keras.__version__
# What needs no compilation, or little, of what passes and of what fails.
QUICK = {
    "Dense": ("check_build_paths", "check_seed", "check_streams", "check_sown", "check_config"),
    "Embed": ("check_build_paths",),
    "SowsDefault": ("check_inference",),
    "Stateless": ("check_inference",),
    "TwoInputs": ("check_inference",),
    "TwoStreams": ("check_training",),
}

# Whatever the reference makes Keras and JAX say.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def runs_the_reference(test):
    """Marks a test that needs the reference, and its record with this Keras."""
    unknown = VERSION not in recorded()
    test = pytest.mark.skipif(unknown, reason="not recorded with this Keras")(test)
    return pytest.mark.skipif(MISSING, reason="since 3.14 the reference needs TensorFlow")(test)


def compare(name, only=None):
    expected = [entry for entry in known(name, VERSION) if only is None or entry.check in only]
    report = examine(name, expected, only)
    report.raise_for_failures()
    return report


@runs_the_reference
@pytest.mark.law("T6")
@pytest.mark.parametrize("name", QUICK)
def test_the_reference_fails_as_recorded(name):
    compare(name, QUICK[name])


@runs_the_reference
@pytest.mark.long
@pytest.mark.law("T6")
@pytest.mark.parametrize("name", FEATURES)
def test_the_reference_fails_everywhere_as_recorded(name):
    passed = [entry for entry in compare(name).entries if entry.status == "passed"]
    assert len(passed) == recorded()[VERSION]["entries"][name]["passed"]


@runs_the_reference
@pytest.mark.law("T6")
def test_a_failure_that_is_not_recorded_and_one_that_does_not_come_about_are_told():
    [real] = [entry for entry in known("Dense", VERSION) if entry.check == "check_sown"]
    report = examine("Dense", [real], ["check_sown", "check_streams", "check_losses"])
    assert [entry.check for entry in report.failures] == ["check_streams"]
    made_up = type(real)("check_losses", "KeyError", "x", "made up")
    report = examine("Dense", [made_up], ["check_losses"])
    assert [entry.error_type for entry in report.failures] == ["stale"]


def test_each_reason_explains_a_failure_and_each_failure_has_a_reason():
    runs = json.loads(DATA.read_text())
    found = {
        (kept["reason"], kept["error"], kept["message"])
        for run in runs.values()
        for entry in run["entries"].values()
        for kept in entry["failed"].values()
    }
    assert found == {(reason.name, reason.error, reason.message) for reason in reasons()}


def test_a_name_of_a_reason_has_one_text():
    texts = {(reason.name, reason.text) for reason in reasons()}
    assert len(texts) == len({name for name, _ in texts})


def test_a_reason_explains_what_it_names_alone():
    reason = Reason("n", "KeyError", "part", "text", checks=["check_fit"], entries=["Dense"])
    assert reason.explains("Dense", "check_fit", "KeyError", "a part of it")
    for other in (
        ("Embed", "check_fit", "KeyError", "part"),
        ("Dense", "check_seed", "KeyError", "part"),
        ("Dense", "check_fit", "ValueError", "part"),
        ("Dense", "check_fit", "KeyError", "else"),
    ):
        assert not reason.explains(*other)


def test_every_recorded_run_has_every_feature_and_known_checks():
    names = {check.name for check in checks(slow=True)}
    for run in recorded().values():
        assert list(run["entries"]) == list(FEATURES)
        assert all(entry["failed"].keys() <= names for entry in run["entries"].values())


def test_our_layer_has_no_known_failure_where_the_page_says_so():
    entries = {entry.name: entry for entry in ENTRIES}
    assert [name for name in FEATURES if entries[name].known] == []


def test_the_page_is_made_from_the_data():
    assert PAGE.read_text() == page(), "run `python -m conformance.known_reference --page`"
