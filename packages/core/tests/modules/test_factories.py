"""What makes a module, in the place of one."""

import dataclasses
import functools

import flax.linen as nn
import jax
import pytest
from flax import nnx

from flaxlayer_core.errors import AcceptModuleError
from flaxlayer_core.modules.factories import is_factory
from flaxlayer_core.modules.wrapping import wrap_module

pytestmark = pytest.mark.law("S5")


class Net(nn.Module):
    width: int = 4

    def __call__(self, x):
        return x

    @classmethod
    def wide(cls, width=8):
        return cls(width)

    @staticmethod
    def narrow():
        return Net(1)


@dataclasses.dataclass
class Config:
    width: int

    def build(self, scale=1):
        return Net(self.width * scale)

    def __call__(self):
        return self.build()


def build(width=3, *, scale=1):
    return Net(width * scale)


@pytest.mark.parametrize(
    ("factory", "width"),
    [
        (build, 3),
        (functools.partial(build, 2, scale=5), 10),
        (functools.partial(functools.partial(build, 2), scale=3), 6),
        (functools.partial(Net, 5), 5),
        (Net, 4),
        (Net.wide, 8),
        (functools.partial(Net.wide, width=9), 9),
        (Net.narrow, 1),
        (Config(6).build, 6),
        (functools.partial(Config(6).build, scale=2), 12),
        (Config(7), 7),
        (lambda: Net(2), 2),
    ],
)
def test_a_linen_module_is_made_by_what_makes_it(factory, width):
    wrapped = wrap_module(factory)
    assert wrapped.module == Net(width)
    assert wrapped.origin is factory


def test_a_module_is_its_own_origin():
    module = Net()
    assert wrap_module(module).origin is wrap_module(module).module is module


def test_a_module_made_in_a_trace_has_values():
    class Table(nn.Module):
        table: jax.Array

        def __call__(self, x):
            return x

    made = []
    jax.jit(lambda: made.append(wrap_module(lambda: Table(jax.numpy.ones(2)))))()
    assert made[0].module.table.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("value", [None, 3, "Net", len, dict, Net(), nn.Dense, print, [build]])
def test_what_makes_no_module_is_no_factory(value):
    assert not is_factory(value)


def fails():
    raise KeyError("width")


@pytest.mark.parametrize(
    ("factory", "found"),
    [
        (fails, "KeyError: 'width'"),
        (lambda: 3, "int, which is no module"),
        (functools.partial(build, depth=2), "TypeError: build.. got an unexpected keyword"),
        (functools.partial(nn.Dense), "TypeError: .*features"),
        (lambda width: Net(width), "TypeError: .*width"),
    ],
)
def test_what_fails_or_makes_something_else_is_explained(factory, found):
    with pytest.raises(AcceptModuleError, match=rf"(?s)Found: {found}.*functools\.partial"):
        wrap_module(factory)


def test_the_class_of_a_module_that_needs_arguments_is_refused_with_a_hint():
    with pytest.raises(AcceptModuleError, match=r"Pass an instance: Dense\(\.\.\.\)"):
        wrap_module(nn.Dense)


@pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")
def test_nnx_modules_are_made_by_any_function_or_method():
    class Small(nnx.Module):
        def __init__(self, width, *, rngs):
            self.dense = nnx.Linear(width, width, rngs=rngs)

        def __call__(self, x):
            return self.dense(x)

        @classmethod
        def narrow(cls, *, rngs):
            return cls(2, rngs=rngs)

        @staticmethod
        def wide(rngs):
            return Small(5, rngs=rngs)

    def alone():
        return Small(3, rngs=nnx.Rngs(1))

    def kernel(factory):
        wrapped = wrap_module(factory)
        keys = dict.fromkeys(wrapped.offered_streams(init=True), jax.random.key(0))
        variables = wrapped.init(keys, (), {}, method="__call__")
        assert wrapped.origin is factory
        return variables["params"]["dense"]["kernel"]

    assert kernel(Small.narrow).shape == (2, 2)
    assert kernel(Small.wide).shape == (5, 5)
    # A function that takes no streams has its own.
    raw = Small(3, rngs=nnx.Rngs(1)).dense.kernel
    assert kernel(alone).tolist() == jax.numpy.asarray(raw).tolist()
    raw = Small(4, rngs=nnx.Rngs(2)).dense.kernel
    bound = functools.partial(Small, 4, rngs=nnx.Rngs(2))
    assert kernel(bound).tolist() == jax.numpy.asarray(raw).tolist()
