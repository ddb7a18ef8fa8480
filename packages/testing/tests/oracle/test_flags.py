import flax.linen as nn
import pytest

from flaxlayer_testing.oracle.flags import mode_arguments


class Both(nn.Module):
    def __call__(self, x, train, *, deterministic=True):
        return x


class Named(nn.Module):
    def __call__(self, x, enabled=False):
        return x


@pytest.mark.law("A2")
@pytest.mark.parametrize("training", [True, False])
def test_customary_names_are_found_with_their_meaning(training):
    found = mode_arguments(Both(), {}, None, training=training)
    assert found == {"train": training, "deterministic": not training}


@pytest.mark.law("A2")
def test_what_the_caller_gives_is_left_to_the_caller():
    assert mode_arguments(Both(), {"train": True}, None, training=False) == {"deterministic": True}


@pytest.mark.law("A2")
def test_an_argument_that_a_field_settles_is_not_given():
    assert mode_arguments(nn.Dropout(0.5, deterministic=True), {}, None, training=True) == {}


@pytest.mark.law("A2")
@pytest.mark.parametrize(("name", "value"), [("enabled", True), ("~enabled", False)])
def test_another_name_is_given_by_the_user(name, value):
    assert mode_arguments(Named(), {}, name, training=True) == {"enabled": value}


@pytest.mark.law("A2")
def test_a_module_without_a_flag_gets_none():
    assert mode_arguments(Named(), {}, None, training=True) == {}


@pytest.mark.law("A2")
def test_what_the_caller_gives_wins_over_the_name_of_the_user():
    assert mode_arguments(Named(), {"enabled": False}, "enabled", training=True) == {}
