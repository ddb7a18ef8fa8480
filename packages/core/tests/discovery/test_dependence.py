"""Which variables a call reads or changes is found without running it (B4)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from flaxlayer_core import LinenModule, MethodSignature, ModePlan, ModuleCall, partition
from flaxlayer_core.discovery.dependence import find_touched

pytestmark = pytest.mark.law("B4")


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, ())
        self.param("unused", nn.initializers.ones, ())
        count = self.variable("stats", "count", lambda: jnp.zeros(()))
        kept = self.variable("stats", "kept", lambda: jnp.zeros(()))
        count.value = jnp.ones(())
        kept.value = kept.value
        return x * scale


X = jax.ShapeDtypeStruct((2, 3), jnp.float32)
PARAMS = {"scale": jnp.ones(()), "unused": jnp.ones(())}
STATS = {"count": jnp.zeros(()), "kept": jnp.zeros(())}
VARIABLES = {"params": PARAMS, "stats": STATS}


def touched(paths, **options):
    module = LinenModule(Net())
    method = MethodSignature.from_method(module, None)
    arrays, structure = partition((X,), {})
    call = ModuleCall(module, method, method, structure)
    plan = ModePlan(False, (), ("params",), None, {})
    return find_touched(call, plan, VARIABLES, paths, arrays, **options)


def test_what_the_outputs_depend_on_is_touched():
    paths = [("params", "scale"), ("params", "unused")]
    assert touched(paths) == {("params", "scale")}


def test_what_is_replaced_is_touched_and_what_comes_back_as_it_was_is_not():
    assert touched([("stats", "count"), ("stats", "kept")]) == {("stats", "count")}


def test_a_record_of_calls_may_be_left_apart():
    path = ("stats", "count")
    assert touched([path], apart=frozenset({"stats"})) == set()


def test_nothing_asked_is_nothing_touched():
    assert touched([]) == set()
