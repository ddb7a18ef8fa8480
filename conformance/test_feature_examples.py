"""Each feature of generated modules has an example that shows it (T1)."""

import pytest

from conformance.feature_examples import in_nnx, read_examples, shows
from flaxlayer_testing import FEATURES, LINEN_FEATURES, NNX_FEATURES, to_program

EXAMPLES = read_examples()


@pytest.mark.law("T1")
def test_every_feature_has_an_example():
    assert list(EXAMPLES) == list(FEATURES)
    found = {case.framework for name, case in EXAMPLES.items() if name in LINEN_FEATURES}
    assert found == {"linen"}


@pytest.mark.law("T1")
@pytest.mark.parametrize("name", FEATURES)
def test_an_example_shows_its_feature(name):
    assert shows(EXAMPLES[name], name)
    compile(to_program(EXAMPLES[name]), name, "exec")


def test_an_example_without_the_feature_is_noticed():
    assert not shows(EXAMPLES["dict_input"], "dropout")


def test_examples_are_shown_in_nnx_where_it_has_the_feature():
    shown = {name for name, case in EXAMPLES.items() if in_nnx(case, name)}
    assert shown <= set(NNX_FEATURES)
    assert len(shown) > 80
    assert in_nnx(EXAMPLES["conv_local"], "conv_local") is None
