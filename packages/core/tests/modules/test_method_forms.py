"""The forms in which a method may be handed over all become functions of the module (A3)."""

import functools

import flax.linen as nn
import pytest

from flaxlayer_core.modules.method_forms import (
    fixed_keywords,
    same_partial,
    takes_more,
    through_module,
    unbound,
    without_module,
)

pytestmark = pytest.mark.law("A3")


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(x)

    def scaled(self, x, by, *, shift=0):
        return x * by + shift


class Halved:
    def scaled(self, x, by, *, shift=0):
        return x * by + shift

    halved = functools.partialmethod(scaled, by=0.5)


def test_a_bound_method_becomes_the_function_of_its_class():
    assert unbound(Net().scaled, nn.Module) is Net.scaled
    assert unbound(Net.scaled, nn.Module) is Net.scaled


def test_a_partial_of_a_bound_method_takes_the_module_first():
    made = unbound(functools.partial(Net().scaled, 3, shift=1), nn.Module)
    assert made(Net(), by=2) == 7


def test_other_functions_and_methods_of_other_objects_stay():
    for method in (len, "text".upper, functools.partial(print, 1)):
        assert unbound(method, nn.Module) is method


def test_a_signature_is_without_the_module():
    assert str(without_module(Net.scaled)) == "(x, by, *, shift=0)"
    assert str(without_module(lambda *args, **kwargs: None)) == "(*args, **kwargs)"
    assert without_module(lambda: None) is None
    assert without_module(dict.update) is None or callable(dict.update)


def test_what_takes_only_keywords_after_the_module_takes_no_more():
    assert takes_more(Net.scaled)
    assert not takes_more(lambda module, *, scale=1, **rest: None)


def test_keywords_of_partials_are_fixed_through_every_layer():
    @functools.wraps(functools.partial(Net.scaled, by=2))
    def wrapped(*args):
        return None

    wrapped.__wrapped__ = functools.partial(Net.scaled, by=2)
    outer = functools.partial(wrapped, shift=1)
    assert fixed_keywords(outer) == {"by", "shift"}
    assert fixed_keywords(Net.scaled) == frozenset()


def test_a_partial_method_is_known_in_what_an_instance_gives():
    static = vars(Halved)["halved"]
    assert same_partial(static, Halved().halved, Halved)
    assert not same_partial(static, functools.partial(Halved().scaled, by=0.25), Halved)
    assert not same_partial(static, Halved().scaled, Halved)


def test_a_name_is_looked_up_on_the_module_at_the_call():
    assert through_module("scaled")(Halved(), 3, by=2, shift=1) == 7


class Module:
    """Stands for the class of Flax that modules derive from."""


class Coder(Module):
    def encode(self, x, scale=1.0, *, shift=0.0):
        return "encode", self, x, scale, shift

    twice = functools.partialmethod(encode, scale=2.0)


class Other:
    def encode(self, x):
        return x


def test_what_is_bound_to_something_else_stays_as_it_is():
    bound = Other().encode
    assert unbound(bound, Module) is bound
    assert unbound(Coder.encode, Module) is Coder.encode
    partial = functools.partial(Coder.encode, scale=2.0)
    assert unbound(partial, Module) is partial


def test_what_a_partialmethod_gives_an_instance_is_told_by_identity():
    static = vars(Coder)["twice"]
    module = Coder()
    assert same_partial(
        static, functools.partial(module.encode, scale=static.keywords["scale"]), Module
    )
    assert not same_partial(static, functools.partial(module.encode, scale=3.0), Module)
    assert not same_partial(static, functools.partial(module.encode, shift=2.0), Module)
    assert not same_partial(static, functools.partial(Other().encode, scale=2.0), Module)
    assert not same_partial(static, functools.partial(Coder.encode, scale=2.0), Module)
    assert not same_partial(static, module.encode, Module)
    assert not same_partial(Coder.encode, functools.partial(module.encode, scale=2.0), Module)

    class Held:
        def __eq__(self, other):
            raise ValueError("an array has no truth")

    value = Held()
    static = functools.partialmethod(Coder.encode, value)
    assert same_partial(static, functools.partial(module.encode, value), Module)
    assert not same_partial(static, functools.partial(module.encode, Held()), Module)
    assert not same_partial(static, functools.partial(module.encode, value, value), Module)
