"""Signatures: their text, and the names from which a class is made again."""

import inspect

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaxlayer_testing import Extra, Flag
from flaxlayer_testing.spec.extras import EXTRA_KINDS
from flaxlayer_testing.spec.signature import Signature
from flaxlayer_testing.spec.spec import FLAG_NAMES

FLAG = st.builds(
    Flag, st.sampled_from(tuple(FLAG_NAMES)), st.booleans(), st.sampled_from((None, False, True))
)
EXTRAS = st.lists(
    st.builds(Extra, st.sampled_from(tuple(EXTRA_KINDS)), st.booleans(), st.booleans()),
    unique_by=lambda extra: extra.name,
).map(tuple)
SIGNATURES = st.builds(Signature, st.integers(0, 8), st.booleans(), st.none() | FLAG, EXTRAS)


@given(SIGNATURES)
def test_a_signature_is_known_by_its_name(signature):
    assert Signature.from_name(signature.name) == signature


@pytest.mark.parametrize("name", ["", "9", "1Trains", "1WithNothing", "Tree1", "1WithKeyOnlyOnly"])
def test_another_name_is_none(name):
    assert Signature.from_name(name) is None


def function(signature, body="locals()"):
    class Side:
        LEFT = "left"

    namespace = {"Side": Side}
    text = f"from __future__ import annotations\ndef f({signature.parameters}): return {body}"
    exec(text, namespace)
    return namespace["f"]


@settings(max_examples=200)
@given(SIGNATURES)
def test_parameters_are_as_the_spec_says(signature):
    parameters = inspect.signature(function(signature)).parameters
    for part in (*signature.extras, *([signature.flag] if signature.flag else [])):
        parameter = parameters[part.name]
        assert (parameter.kind is parameter.KEYWORD_ONLY) == part.keyword_only
        optional = part.default is not None if isinstance(part, Flag) else part.optional
        assert (parameter.default is not parameter.empty) == optional


@settings(max_examples=200)
@given(SIGNATURES)
def test_a_call_hands_every_parameter_on(signature):
    inner = function(signature)
    names = list(inspect.signature(inner).parameters)
    outer = function(signature, f"inner({signature.call})")
    outer.__globals__["inner"] = inner
    assert outer(**{name: name for name in names}) == {name: name for name in names}
