"""`check_module`, its report, known failures, the decorator: the front ends of the checks (T2)."""

import json

import flax.linen as nn
import numpy as np
import pytest

import flaxlayer_testing
from flaxlayer import FlaxLayer
from flaxlayer_testing import (
    Case,
    CheckFinished,
    CheckStarted,
    ExpectedFailure,
    ModuleSpec,
    Node,
    PassChecksError,
    SelectCheckError,
    Status,
    Subject,
    ValueType,
    check_module,
    checks,
    parametrize_checks,
    run_check,
    run_checks,
)

X = np.linspace(-1.0, 1.0, 12, dtype=np.float32).reshape(4, 3)
DENSE = Node("dense", (0,), (("features", 2), ("param_dtype", "float32"), ("use_bias", True)))
CASE = Case(ModuleSpec((ValueType((3,)),), (DENSE,), (1,)))


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, scale, *, enabled=False):
        x = nn.BatchNorm(use_running_average=not enabled)(nn.Dense(4)(x))
        return nn.Dropout(0.5, deterministic=not enabled)(x) * scale


class Negates(FlaxLayer):
    """A layer that is wrong at every call."""

    def __call__(self, *args, **kwargs):
        return -super().__call__(*args, **kwargs)


@pytest.mark.law("T2")
def test_every_check_cites_its_laws_and_is_named_check():
    assert len(checks()) == len({check.name for check in checks()})
    for check in checks():
        assert check.laws, check.name
        assert check.name.startswith("check_")


@pytest.mark.law("T2")
def test_a_module_with_a_flag_of_another_name_and_two_inputs_passes_all_checks():
    report = check_module(Net(), X, np.float32([[2.0]] * 4), training_arg="enabled")
    report.raise_for_failures()
    assert report.ok
    assert not report.of(Status.SKIPPED)
    assert report.entries[4].errors == {"float32": 0.0}
    assert set(report.versions) >= {"python", "keras", "jax", "flax"}


@pytest.mark.law("T2")
def test_keyword_arguments_reach_the_method_and_skip_what_takes_arrays_only():
    names = ["check_inference", "check_saved_model"]
    report = check_module(Net(), X, scale=np.float32(3.0), only=names, training_arg="enabled")
    assert [entry.status for entry in report.entries] == [Status.PASSED, Status.SKIPPED]
    assert "plain positional arrays" in str(report)


@pytest.mark.law("T3")
def test_another_layer_is_judged_and_its_failures_raise():
    report = check_module(nn.Dense(2), X, layer=Negates, only=["check_inference"])
    assert not report.ok
    with pytest.raises(PassChecksError) as caught:
        report.raise_for_failures()
    message = str(caught.value)
    assert "check_inference (A5, A6) failed with ParityError" in message
    assert "outputs in inference differs in value." in message
    assert message.splitlines()[-1].startswith("Replay: check_module(Dense(")
    assert message.splitlines()[-1].endswith("only=['check_inference'], seed=0)")


@pytest.mark.law("T3")
def test_whatever_a_layer_raises_is_its_failure():
    class Raises(FlaxLayer):
        def __call__(self, *args, **kwargs):
            raise RuntimeError("broken")

    report = check_module(nn.Dense(2), X, layer=Raises, only=["check_build_paths", "check_seed"])
    assert {entry.status for entry in report.entries} == {Status.FAILED}
    assert {entry.message for entry in report.entries} == {"broken"}


@pytest.mark.law("T8")
def test_a_report_is_json_and_a_table():
    report = check_module(nn.Dense(2), X, layer=Negates, only=["check_inference", "check_streams"])
    data = json.loads(report.to_json())
    assert [entry["status"] for entry in data["entries"]] == ["failed", "passed"]
    text = str(report)
    assert "1 passed, 1 failed" in text
    assert text.splitlines()[-1].startswith("Replay: ")


@pytest.mark.law("T6")
@pytest.mark.parametrize(
    ("error", "message", "status"),
    [
        ("ParityError", "outputs in inference", Status.EXPECTED),
        ("AssertionError", "differs in value", Status.EXPECTED),
        ("ParityError", "outputs in training", Status.FAILED),
        ("KeyError", "outputs in inference", Status.FAILED),
    ],
)
def test_a_known_failure_pins_error_and_message(error, message, status):
    known = ExpectedFailure("check_inference", error, message, "it negates")
    options = {"only": ["check_inference"], "expected_failures": [known]}
    (entry,) = check_module(nn.Dense(2), X, layer=Negates, **options).entries
    assert entry.status is status


@pytest.mark.law("T6")
@pytest.mark.parametrize("check", ["check_inference", "check_fresh_keys"])
def test_a_known_failure_that_passes_or_is_skipped_is_a_failure(check):
    known = ExpectedFailure(check, "ParityError", "outputs", "it was broken once")
    report = check_module(nn.Dense(2), X, only=[check], expected_failures=[known])
    assert not report.ok
    assert "Remove or correct its entry (T6)." in report.entries[0].message


@pytest.mark.law("T6")
def test_a_known_failure_needs_an_existing_check_and_a_reason():
    for known in (
        ExpectedFailure("check_nothing", "ParityError", "", "why"),
        ExpectedFailure("check_inference", "ParityError", "", ""),
    ):
        with pytest.raises(SelectCheckError):
            check_module(nn.Dense(2), X, expected_failures=[known])


@pytest.mark.law("T2")
def test_an_unknown_check_is_an_error():
    with pytest.raises(SelectCheckError, match="check_inference"):
        check_module(nn.Dense(2), X, only=["check_nothing"])


@pytest.mark.law("T8")
def test_events_come_in_pairs():
    subject = Subject.from_case(CASE)
    kinds = [type(event) for event in run_checks(subject, only=["check_inference", "check_sown"])]
    assert kinds == [CheckStarted, CheckFinished] * 2


@parametrize_checks(
    [CASE, CASE.spec, (nn.Dense(2), X)], only=["check_inference", "check_state_training"]
)
def test_the_decorator_runs_each_check_of_each_subject(subject, check):
    if check.name == "check_state_training":
        with pytest.raises(pytest.skip.Exception, match="no state"):
            run_check(subject, check)
    else:
        run_check(subject, check)


def test_the_public_names_exist_and_are_listed_once():
    assert len(flaxlayer_testing.__all__) == len(set(flaxlayer_testing.__all__))
    assert all(hasattr(flaxlayer_testing, name) for name in flaxlayer_testing.__all__)
