"""Every kind of module has what the two protocols ask, and hands on no fact that stays (C2)."""

import inspect

import pytest

from flaxlayer_core import LinenModule, NnxModule
from flaxlayer_core.modules.lazy_state import LazyStateModule
from flaxlayer_core.modules.protocol import FlaxModule, ModuleFacts


def members(protocol):
    own = {name: value for name, value in vars(protocol).items() if name[0] != "_"}
    return {name for name, value in own.items() if callable(value) or isinstance(value, property)}


def parameters(function):
    kinds = inspect.signature(function).parameters.values()
    return [(parameter.name, parameter.kind) for parameter in kinds]


@pytest.mark.parametrize(
    ("cls", "protocol"),
    [
        (LinenModule, FlaxModule),
        (LinenModule, ModuleFacts),
        (NnxModule, FlaxModule),
        (NnxModule, ModuleFacts),
        (LazyStateModule, FlaxModule),
    ],
)
def test_a_kind_of_module_has_the_members_of_a_protocol(cls, protocol):
    for name in members(protocol):
        asked, has = vars(protocol)[name], inspect.getattr_static(cls, name)
        assert isinstance(has, property) == isinstance(asked, property)
        if isinstance(has, staticmethod):
            assert parameters(has.__func__) == parameters(asked)[1:]
        elif not isinstance(asked, property):
            assert parameters(inspect.unwrap(has)) == parameters(asked)


def test_the_two_protocols_share_nothing():
    assert not members(FlaxModule) & members(ModuleFacts)


def test_late_state_changes_no_fact_of_a_module():
    assert not members(ModuleFacts) & vars(LazyStateModule).keys()
