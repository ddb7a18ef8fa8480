"""`check_module`, its report, known failures, the decorator: the front ends of the checks (T2)."""

import json
import pickle
import re
from dataclasses import replace
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flaxlayer
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
SLOW = {"check_exported_model"}
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


class DropsMasks(FlaxLayer):
    """A layer that lets the mask travel on, and keeps it from the method."""

    def __init__(self, module, **settings):
        super().__init__(module, **{**settings, "mask_arg": None})


class DecodesOnly(FlaxLayer):
    """A layer that runs another method than the one that it is asked for."""

    def method(self, method, **kwargs):
        return super().method("decode" if method == "encode" else method, **kwargs)


class Masked(nn.Module):
    @nn.compact
    def __call__(self, x, mask=None):
        return x if mask is None else x * mask[..., None]


@flax.struct.dataclass
class Pair:
    x: Any
    more: Any


class Takes(nn.Module):
    @nn.compact
    def __call__(self, first, second=None):
        if second is not None:
            return {"sum": jnp.sum, "mean": jnp.mean}[first](nn.Dense(2)(second), axis=-1)
        leaves = jax.tree.leaves(first)
        return nn.Dense(2)(jnp.concatenate(leaves, axis=-1))


class Branches(nn.Module):
    @nn.compact
    def __call__(self, x):
        y = nn.Dense(2)(x)
        return (y, "wide") if float(x.max()) > 0 else (y, "narrow")


class Perturbs(nn.Module):
    @nn.compact
    def __call__(self, x):
        return self.perturb("hidden", nn.Dense(2)(x))


class Coder(nn.Module):
    def setup(self):
        self.inner, self.outer = nn.Dense(3), nn.Dense(3)

    def encode(self, x):
        return self.inner(x)

    def decode(self, code):
        return self.outer(code)

    def __call__(self, x):
        return self.decode(self.encode(x))


@pytest.mark.law("T2")
def test_every_check_cites_its_laws_and_is_named_check():
    every = checks(slow=True)
    assert len(every) == len({check.name for check in every})
    for check in every:
        assert check.laws, check.name
        assert check.name.startswith("check_")


@pytest.mark.slow
@pytest.mark.law("T2")
def test_a_module_with_a_flag_of_another_name_and_two_inputs_passes_all_checks():
    report = check_module(Net(), X, np.float32([[2.0]] * 4), training_arg="enabled")
    report.raise_for_failures()
    assert report.ok
    skipped = {entry.check for entry in report.of(Status.SKIPPED)}
    assert skipped == {
        "check_masked_statics",
        "check_object_kept",
        "check_returned_sown",
        "check_sequential_model",
        "check_unbuilt_sequential",
        "check_unknown_sizes",
    }
    assert report.entries[4].errors == {"float32": 0.0}
    assert set(report.versions) >= {"python", "keras", "jax", "flax"}


@pytest.mark.law("T2")
def test_keyword_arguments_reach_the_method_and_one_without_a_batch_skips_models():
    names = ["check_inference", "check_saved_model"]
    report = check_module(Net(), X, scale=np.float32(3.0), only=names, training_arg="enabled")
    assert [entry.status for entry in report.entries] == [Status.PASSED, Status.SKIPPED]
    assert report.entries[1].message.endswith("one without a batch dimension")


@pytest.mark.law("T2")
@pytest.mark.parametrize("inputs", [{"x": X, "more": [X]}, Pair(X, [X]), ("sum", X)])
def test_arrays_anywhere_in_the_arguments_run_the_checks_of_models(inputs):
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    names = ["check_symbolic_shapes", "check_functional_model", "check_train_step"]
    report = check_module(Takes(), *inputs, only=names)
    report.raise_for_failures()
    assert not report.of(Status.SKIPPED)


@pytest.mark.law("A6")
def test_a_module_that_cannot_be_traced_is_checked_op_by_op():
    report = check_module(Branches(), X)
    report.raise_for_failures()
    found = {entry.check: entry for entry in report.entries}
    for name in ("check_build_values", "check_inference", "check_training", "check_methods"):
        assert found[name].status is Status.PASSED
    assert found["check_train_step"].message == "JAX cannot trace the module"


@pytest.mark.law("C2")
def test_collections_of_one_call_are_told_by_name():
    names = ["check_build_paths", "check_sown", "check_train_step"]
    check_module(Perturbs(), X, only=names).raise_for_failures()
    report = check_module(Perturbs(), X, only=names, transient=("intermediates",))
    assert "perturbations/hidden" in report.failures[0].message


@pytest.mark.law("T2")
def test_a_check_that_takes_long_runs_when_it_is_asked_for():
    usual, every = checks(), checks(slow=True)
    assert {check.name for check in every} - {check.name for check in usual} == SLOW
    assert {check.name for check in checks(only=SLOW)} == SLOW


@pytest.mark.law("A4")
@pytest.mark.parametrize("layer", [FlaxLayer, DropsMasks])
def test_a_mask_has_to_arrive(layer):
    x = np.ones((2, 3, 4), np.float32)
    report = check_module(Masked(), x, layer=layer, only=["check_masks"])
    assert report.ok == (layer is FlaxLayer)
    if not report.ok:
        assert "outputs behind a mask" in report.failures[0].message


@pytest.mark.law("A3")
def test_every_method_that_takes_the_arguments_is_run():
    report = check_module(Coder(), X, layer=DecodesOnly, only=["check_methods"])
    assert "outputs of the method encode" in report.failures[0].message
    check_module(Coder(), X, only=["check_methods"]).raise_for_failures()


@pytest.mark.law("T8")
def test_the_last_line_of_a_failure_replays_it_however_long_the_failure_is():
    report = check_module(nn.Dense(2), X, layer=Negates, only=["check_inference"])
    (entry,) = report.entries
    long = replace(report, entries=(replace(entry, program=500 * "x = 1\n" + 9_000 * "y"),) * 2)
    with pytest.raises(PassChecksError) as caught:
        long.raise_for_failures()
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert str(error).splitlines()[-1] == f"Replay: {entry.replay}"
        assert len(str(error)) < 8_100 + len(entry.replay)


@pytest.mark.law("T3")
def test_another_layer_is_judged_and_its_failures_raise():
    report = check_module(nn.Dense(2), X, layer=Negates, only=["check_inference"])
    assert not report.ok
    with pytest.raises(PassChecksError) as caught:
        report.raise_for_failures()
    message = str(caught.value)
    assert "check_inference (A1, A5, A6) failed with ParityError" in message
    assert "outputs in inference differs in value." in message
    assert re.match(r"Replay: KERAS_BACKEND=\w+ python -m pytest \S", message.splitlines()[-1])


@pytest.mark.law("T3")
def test_whatever_a_layer_raises_is_its_failure():
    class Raises(FlaxLayer):
        def __call__(self, *args, **kwargs):
            raise RuntimeError("broken")

    report = check_module(nn.Dense(2), X, layer=Raises, only=["check_build_paths", "check_seed"])
    assert {entry.status for entry in report.entries} == {Status.FAILED}
    assert {entry.message.partition("\n")[0] for entry in report.entries} == {"broken"}


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


NEGATED = ExpectedFailure("check_inference", "ParityError", "outputs in inference", "it negates")
KNOWN = {
    "a list": [NEGATED],
    "by name": {"Dense": [NEGATED]},
    "by a pattern": {"D*": [NEGATED]},
    "by the subject": lambda subject: [NEGATED] if subject.module.features == 2 else [],
}


@pytest.mark.law("T6")
@pytest.mark.parametrize("form", KNOWN)
def test_known_failures_are_given_for_all_by_name_or_by_the_subject(form):
    options = {"layer": Negates, "only": ["check_inference"], "expected_failures": KNOWN[form]}
    assert check_module(nn.Dense(2), X, **options).entries[0].status is Status.EXPECTED


@pytest.mark.law("T6")
@pytest.mark.parametrize(
    "known",
    [{"Conv": [NEGATED]}, {"dense": [NEGATED]}, lambda subject: []],
    ids=["another", "another case", "none"],
)
def test_a_known_failure_of_another_subject_excuses_nothing(known):
    options = {"layer": Negates, "only": ["check_inference"], "expected_failures": known}
    assert not check_module(nn.Dense(2), X, **options).ok


@parametrize_checks(
    [(nn.Dense(2), X), (Coder(), X)],
    layer=Negates,
    only=["check_inference", "check_seed"],
    expected_failures={"Dense": [NEGATED]},
)
def test_the_decorator_expects_known_failures_of_their_subject_alone(subject, check):
    if check.name == "check_seed":
        run_check(subject, check)
    elif isinstance(subject.module, nn.Dense):
        with pytest.raises(pytest.xfail.Exception, match="it negates"):
            run_check(subject, check)
    else:
        with pytest.raises(PassChecksError):
            run_check(subject, check)


@parametrize_checks([(nn.Dense(2), X)], only=["check_inference"], expected_failures=[NEGATED])
def test_a_known_failure_that_passes_fails_its_test(subject, check):
    with pytest.raises(PassChecksError, match="did not come about: it passed"):
        run_check(subject, check)


@pytest.mark.law("T6")
@pytest.mark.parametrize("known", [{"Convv": [NEGATED]}, [NEGATED, NEGATED]], ids=["key", "twice"])
def test_known_failures_that_cannot_come_about_are_refused_when_tests_are_made(known):
    with pytest.raises(SelectCheckError):
        parametrize_checks([(nn.Dense(2), X)], expected_failures=known)


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


@flaxlayer.register(package="test_fronts")
class Registered(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(x)


@pytest.mark.law("S2")
def test_a_foreign_name_is_put_in_the_place_of_a_registered_one():
    report = check_module(Registered(), X, only=["check_wrong_config"])
    assert [entry.status for entry in report.entries] == [Status.PASSED]
