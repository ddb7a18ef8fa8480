"""What is a method of a module's, for calls and for configurations alike."""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import pytest
from flax import nnx

from flaxlayer_core import (
    DecodeModuleError,
    InspectMethodError,
    decode_value,
    encode_value,
    remember,
    wrap_module,
)
from flaxlayer_core.config.definitions import public_methods


class Activations:
    def soft(x):
        return x

    def hard(x):
        return x


class LinenNet(nn.Module):
    soft: Callable = Activations.soft
    hard: Callable = dataclasses.field(default=Activations.hard)

    @nn.compact
    def __call__(self, x):
        return self.hard(self.soft(x))

    def encode(self, x):
        return x


class LinenHeir(LinenNet):
    def decode(self, x):
        return x


@dataclasses.dataclass
class NnxNet(nnx.Module):
    soft: Callable = Activations.soft
    hard: Callable = dataclasses.field(default=Activations.hard)

    def __call__(self, x):
        return x

    def encode(self, x):
        return x


@pytest.mark.law("A3")
@pytest.mark.parametrize(
    "cls",
    [
        LinenNet,
        LinenHeir,
        pytest.param(
            NnxNet,
            marks=pytest.mark.skipif(
                not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11"
            ),
        ),
    ],
)
def test_the_default_of_a_field_is_no_method_wherever_methods_are_asked_for(cls):
    facts, names = wrap_module(cls()).facts, set(public_methods(cls))
    assert {"soft", "hard"}.isdisjoint(names)
    assert {"__call__", "encode"} <= names
    assert {facts.resolve_method(name) for name in names} == names
    for name in ("soft", "hard"):
        with pytest.raises(InspectMethodError):
            facts.resolve_method(name)


@pytest.mark.law("S2")
def test_a_file_reaches_no_default_of_a_field_as_a_method():
    remember(LinenNet())
    stored = encode_value(LinenNet.encode, path="value")
    assert decode_value(stored, path="value") is LinenNet.encode
    with pytest.raises(DecodeModuleError, match="a public method of LinenNet"):
        decode_value({**stored, "name": "soft"}, path="value")
