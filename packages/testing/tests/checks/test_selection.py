"""Which checks run: by name, by pattern, without some, with those of others (T2)."""

from types import ModuleType

import flax.linen as nn
import numpy as np
import pytest

import flaxlayer_testing
from flaxlayer_testing import (
    Check,
    ExpectedFailure,
    KeepLawError,
    Need,
    SelectCheckError,
    Status,
    check_module,
    checks,
    parametrize_checks,
    run_check,
)
from flaxlayer_testing.checks import registry

X = np.ones((2, 3), np.float32)
SLOW = "check_exported_model"


@pytest.fixture(autouse=True)
def _own_list(monkeypatch):
    monkeypatch.setattr(registry, "_KNOWN", dict(registry._KNOWN))


def entered(name, home="my_checks", needs=()):
    """A check of a user's own, which fails, as its decorator leaves it."""

    def function(subject):
        raise KeepLawError("It is refused.", law="A5")

    function.__name__, function.__module__ = name, home
    return flaxlayer_testing.check("A5", needs=needs)(function)


def names(**options):
    return [check.name for check in checks(**options)]


@pytest.mark.law("T2")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"only": ["check_state_?n*"]}, ["check_state_inference"]),
        ({"only": ["*_state_inf*"]}, ["check_state_inference"]),
        (
            {"only": ["check_state_*", "check_seed"], "exclude": ["*training", "*_updates"]},
            ["check_seed", "check_state_inference"],
        ),
        ({"only": [SLOW]}, [SLOW]),
        ({"only": ["check_export*"], "slow": True}, [SLOW]),
    ],
    ids=["pattern", "in the middle", "without some", "slow", "slow by pattern"],
)
def test_checks_are_asked_for_by_name_and_pattern(options, expected):
    assert sorted(names(**options)) == sorted(expected)


@pytest.mark.law("T2")
def test_what_is_excluded_is_left_out_and_the_rest_stays_in_order():
    every = names()
    left = names(exclude=["check_saved_*", "check_seed"])
    gone = {name for name in every if name.startswith("check_saved_")} | {"check_seed"}
    assert len(gone) > 2
    assert left == [name for name in every if name not in gone]


@pytest.mark.law("T2")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"only": ["check_infrence"]}, "the nearest: check_inference"),
        ({"exclude": ["check_infrence"]}, "the nearest: check_inference"),
        ({"only": ["check_export*"]}, "There is no such check."),
        ({"only": ["nothing_*"]}, "There is no such check."),
        ({"only": ["check_seed"], "exclude": ["*"]}, "No check is left."),
        ({"only": []}, "No check is left."),
        ({"given": [lambda subject: None]}, "holds no check."),
        ({"given": [ModuleType("empty")]}, "empty holds no check."),
        ({"only": ["x" * 10_000]}, "There is no such check."),
    ],
    ids=[
        "only",
        "exclude",
        "slow by pattern",
        "pattern",
        "none left",
        "none",
        "function",
        "module",
        "long",
    ],
)
def test_what_selects_nothing_is_explained(options, said):
    with pytest.raises(SelectCheckError) as caught:
        checks(**options)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 5_000


@pytest.mark.law("T2")
def test_a_check_of_a_user_runs_where_it_is_given_or_named_and_nowhere_else():
    usual = names()
    function = entered("check_of_mine")
    module = ModuleType("my_checks")
    assert names() == usual
    assert names(given=[function]) == names(given=[module]) == [*usual, "check_of_mine"]
    assert names(only=["check_of_mine"]) == ["check_of_mine"]
    assert names(only=["check_of*"], given=[function]) == ["check_of_mine"]
    with pytest.raises(SelectCheckError):
        checks(only=["check_of*"])


@pytest.mark.law("T2")
def test_a_check_of_a_user_is_run_reported_and_may_be_known_to_fail():
    function = entered("check_of_mine")
    options = {"checks": [function], "only": ["check_of_mine", "check_seed"]}
    report = check_module(nn.Dense(2), X, **options)
    (entry,) = report.failures
    assert (entry.check, entry.laws, entry.error_type) == ("check_of_mine", ("A5",), "KeepLawError")
    known = [ExpectedFailure("check_of_mine", "KeepLawError", "refused", "I know")]
    assert check_module(nn.Dense(2), X, **options, expected_failures=known).ok


@pytest.mark.law("T2")
def test_a_check_of_a_user_is_skipped_where_its_needs_are_not_met():
    function = entered("check_of_mine", needs=[Need.STATE])
    report = check_module(nn.Dense(2), X, checks=[function], only=["check_of*"])
    assert [entry.status for entry in report.entries] == [Status.SKIPPED]


@pytest.mark.law("T2")
def test_the_decorator_of_tests_takes_checks_of_a_user():
    function = entered("check_of_mine")
    mark = parametrize_checks([(nn.Dense(2), X)], checks=[function], only=["check_of*"]).mark
    ((subject, check),) = [param.values for param in mark.args[1]]
    assert isinstance(check, Check)
    with pytest.raises(flaxlayer_testing.PassChecksError, match=r"It is refused\."):
        run_check(subject, check)


@pytest.mark.law("T2")
@pytest.mark.parametrize(
    ("error", "said"),
    [(AssertionError("not mine"), ""), (KeyError("mine"), "Likely the check itself is at fault")],
    ids=["assertion", "mistake"],
)
def test_a_check_of_a_user_is_not_called_a_fault_of_the_harness(error, said):
    def check_of_mine(subject):
        raise error

    check_of_mine.__module__ = "my_checks"
    flaxlayer_testing.check("A5")(check_of_mine)
    report = check_module(nn.Dense(2), X, checks=[check_of_mine], only=["check_of*"])
    message = report.failures[0].message
    assert "harness" not in message
    assert said in message
    assert ("Likely" in message) == bool(said)
    assert message.endswith("Law: A5")
