"""Which names of a class may be those of methods of the user's (A3, S2)."""

from collections.abc import Callable

import flax.linen as nn
import pytest
from flax import nnx

from flaxlayer_core.modules.method_names import has_attribute, is_public_name, may_name_method


class Net(nn.Module):
    width: int = 3
    act: Callable = nn.relu

    def setup(self):
        self.inner = nn.Dense(self.width)

    def __call__(self, x):
        return self.act(self.inner(x))

    def encode(self, x):
        return self.inner(x)

    def _private(self, x):
        return x

    def __str__(self):
        return "Net"


@pytest.mark.law("A3")
@pytest.mark.parametrize("name", ["__call__", "encode", "_private"])
def test_what_the_user_defined_may_be_a_method(name):
    assert may_name_method(Net, nn.Module, name)


@pytest.mark.law("A3")
@pytest.mark.parametrize("name", ["width", "act", "name", "parent", "setup", "init", "__str__"])
def test_fields_and_what_flax_defines_are_none(name):
    assert not may_name_method(Net, nn.Module, name)


@pytest.mark.law("A3")
def test_what_flax_defines_for_nnx_is_none_either():
    assert may_name_method(nnx.Linear, nnx.Module, "__call__")
    assert not may_name_method(nnx.Linear, nnx.Module, "train")


@pytest.mark.law("A3")
def test_attributes_of_a_metaclass_are_none_of_the_class():
    assert has_attribute(nn.Module, "setup")
    assert not has_attribute(nn.Module, "mro")


@pytest.mark.law("S2")
def test_an_underscore_hides_a_name_but_that_of_the_call():
    assert [*map(is_public_name, ("__call__", "encode", "_private", "__init__"))] == [
        True,
        True,
        False,
        False,
    ]


class Named(nn.Module):
    act: object = nn.relu

    def setup(self):
        pass

    def __call__(self, x):
        return x

    def encode(self, x):
        return x

    def _hidden(self, x):
        return x

    def __getitem__(self, x):
        return x


class Derived(Named):
    pass


@pytest.mark.parametrize("cls", [Named, Derived])
@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("__call__", True),
        ("encode", True),
        ("_hidden", True),
        ("act", False),
        ("setup", False),
        ("apply", False),
        ("init", False),
        ("name", False),
        ("parent", False),
        ("__getitem__", False),
        ("__init__", False),
    ],
)
def test_a_method_is_neither_a_field_nor_what_flax_defines(cls, name, may):
    assert may_name_method(cls, nn.Module, name) is may
