"""Plain arrays of a constructor of nnx, traced and not."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from flaxlayer_core.errors import AcceptModuleError
from flaxlayer_core.modules.nnx.nnx_factories import call_factory

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


class Plain(nnx.Module):
    def __init__(self, *, rngs):
        drawn = jax.random.normal(rngs.params(), (3,))
        self.param = nnx.Param(drawn)
        self.table, self.same = drawn, drawn
        self.counted = np.arange(3)
        self.items = nnx.List([jnp.ones(2), drawn])
        self.named = nnx.data({"a": jnp.zeros(2), "inner": [drawn]})
        self.sizes = [1, 2]


class Rates(nnx.Module):
    def __init__(self, *, rngs):
        self.rates = tuple(float(rate) for rate in jnp.linspace(0.0, 0.5, 3))
        self.dense = nnx.Linear(2, 2, rngs=rngs)


class Captured(nnx.Module):
    def __init__(self, *, rngs, drawn=False):
        table = jax.random.normal(rngs.params(), (3,)) if drawn else jnp.arange(3.0)
        self.look_up = lambda index: table[index]


def traced(factory, keys):
    """The module's graph, traced, beside its arrays."""
    found = []

    def make(keys):
        graph, state = nnx.split(call_factory(factory, keys))
        found.append(graph)
        return state

    state = jax.jit(make)(keys)
    return nnx.merge(found[0], state)


@pytest.mark.law("B2")
@pytest.mark.parametrize("cls", [Plain, Rates])
def test_a_traced_constructor_gives_the_module_of_an_eager_one(cls):
    keys = {"params": jax.random.key(1)}
    made = traced(cls, keys)
    # A layer places its weights itself (B5), and a variable tells who does.
    placed = getattr(nnx, "use_eager_sharding", lambda on: contextlib.nullcontext())
    with placed(False):
        raw = cls(rngs=nnx.Rngs(params=jax.random.key(1)))
    assert nnx.graphdef(made) == nnx.graphdef(raw)
    pairs = zip(jax.tree.leaves(nnx.state(made)), jax.tree.leaves(nnx.state(raw)), strict=True)
    for left, right in pairs:
        np.testing.assert_allclose(left, right, rtol=1e-6)


@pytest.mark.law("B2")
def test_what_a_function_captures_has_values():
    module = traced(Captured, {"params": jax.random.key(1)})
    assert module.look_up(2) == 2.0


@pytest.mark.law("B2")
def test_random_numbers_in_a_function_are_refused():
    with pytest.raises(AcceptModuleError, match=r"(?s)where Flax does not find them.*nnx\.Vari"):
        traced(functools.partial(Captured, drawn=True), {"params": jax.random.key(1)})


@pytest.mark.law("B2")
def test_a_plain_list_of_arrays_is_refused_as_flax_refuses_it():
    class Listed(nnx.Module):
        def __init__(self, *, rngs):
            self.items = [jnp.ones(2)]

    try:
        Listed(rngs=nnx.Rngs(0))
    except ValueError:
        with pytest.raises(ValueError, match="Found data on value"):
            traced(Listed, {"params": jax.random.key(1)})
