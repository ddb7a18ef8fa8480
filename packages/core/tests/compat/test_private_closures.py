"""What stock factories make: one behaviour each, so that a release that moves one is noticed."""

import dataclasses
from types import FunctionType

import flax.linen as nn
import jax
import pytest

from flaxlayer_core.compat import private_closures

_ARGUMENTS = {
    "flax.linen:with_logical_partitioning": (nn.initializers.ones, ("rows", None)),
    "flax.linen:with_partitioning": (nn.initializers.ones, ("rows", None)),
    "jax.checkpoint_policies:save_any_names_but_these": ("hidden",),
    "jax.checkpoint_policies:save_only_these_names": ("hidden",),
    "jax.nn.initializers:constant": (3.5,),
    "jax.nn.initializers:delta_orthogonal": (2.5,),
    "jax.nn.initializers:normal": (2.5,),
    "jax.nn.initializers:orthogonal": (2.5,),
    "jax.nn.initializers:truncated_normal": (2.5,),
    "jax.nn.initializers:uniform": (2.5,),
    "jax.nn.initializers:variance_scaling": (2.5, "fan_out", "uniform"),
}


def test_each_factory_is_tried():
    assert _ARGUMENTS.keys() == private_closures.FACTORIES.keys()


@pytest.mark.law("S1")
@pytest.mark.parametrize("name", sorted(_ARGUMENTS))
def test_what_a_factory_made_tells_the_factory_and_its_arguments(name):
    made = private_closures.FACTORIES[name](*_ARGUMENTS[name])
    if not isinstance(made, FunctionType):
        assert dataclasses.is_dataclass(made)
        return
    assert private_closures.factory_of(made) == name
    held = [*private_closures.captured_by(made).values()]
    values = [held, *(value for value in held if isinstance(value, tuple | set | frozenset))]
    for argument in _ARGUMENTS[name]:
        assert any(argument in group for group in values)


@pytest.mark.law("S1")
def test_other_functions_are_of_no_factory():
    for value in (jax.nn.relu, nn.initializers.zeros, lambda key: key, 3):
        assert private_closures.factory_of(value) is None


def test_a_variable_that_is_not_yet_assigned_is_no_captured_one():
    def outer():
        def inner():
            return early, late

        early = 1
        found = private_closures.closure_variables(inner)
        late = 2
        return found, late

    assert outer() == ({"early": 1}, 2)
