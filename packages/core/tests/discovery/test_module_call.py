"""A module with its call: what its methods get, and how it is initialised and applied (A2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core import (
    LinenModule,
    MatchVariablesError,
    MethodSignature,
    ModuleCall,
    partition,
    unwrap_statics,
)
from flaxlayer_core.discovery.module_call import abstract_keys, trace_init

X = np.ones((2, 3), np.float32)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, key=None, *, train=False, mask=None):
        y = nn.Dense(2)(x)
        return (y if train else -y), key is not None, mask is not None

    def prepare(self, x):
        return self(x)


def make(*args, init=None, **kwargs):
    module = LinenModule(Net())
    arrays, structure = partition(args, kwargs)
    method = MethodSignature.from_method(module, None, rng_args={"key": "noise"})
    first = method if init is None else MethodSignature.from_method(module, init)
    return ModuleCall(module, method, first, structure), arrays


def init(call, arrays):
    return call.init({"params": jax.random.key(0)}, arrays, training=True)


def apply(call, arrays, *, training, rngs):
    outputs, _ = call.apply(init(call, arrays), rngs, arrays, training=training, mutable=[])
    return unwrap_statics(outputs)


@pytest.mark.law("A2")
def test_the_mode_reaches_the_argument_of_the_method():
    call, arrays = make(X)
    trained, _, _ = apply(call, arrays, training=True, rngs={})
    inferred, _, _ = apply(call, arrays, training=False, rngs={})
    np.testing.assert_array_equal(trained, -inferred)


@pytest.mark.law("R5")
def test_a_key_of_the_layer_goes_where_the_caller_gives_none():
    call, _ = make(X)
    assert [argument.name for argument in call.keys] == ["key"]
    by_caller, _ = make(X, jnp.ones(2))
    assert by_caller.keys == ()


@pytest.mark.law("A4")
def test_a_mask_that_only_the_call_takes_is_not_handed_to_init():
    call, arrays = make(X, init="prepare", mask=np.ones(2, bool))
    assert set(init(call, arrays)) == {"params"}


@pytest.mark.law("B4")
def test_given_variables_are_arrays_and_what_is_none_is_named():
    module = LinenModule(Net())
    method = MethodSignature.from_method(module, None)
    structure = partition((X,), {})[1]
    given = {"params": {"Dense_0": {"bias": 3}}}
    call = ModuleCall(module, method, method, structure, given=given)
    assert call.given_tree()["params"]["Dense_0"]["bias"].dtype == jnp.asarray(3).dtype
    wrong = ModuleCall(module, method, method, structure, given={"params": {"a": "text"}})
    with pytest.raises(MatchVariablesError, match=r"The layer \(module Net\)"):
        wrong.given_tree()


@pytest.mark.law("R3")
def test_abstract_keys_are_of_the_default_kind():
    keys = abstract_keys(["a", "b"])
    assert {name: (key.shape, key.dtype) for name, key in keys.items()} == {
        name: ((), jax.random.key(0).dtype) for name in "ab"
    }
    with jax.default_prng_impl("rbg"):
        assert abstract_keys(["a"])["a"].dtype == jax.random.key(0, impl="rbg").dtype


@pytest.mark.law("B2")
def test_a_traced_init_needs_keys_and_no_inputs():
    call, _ = make(X)
    traced = trace_init(call, ["params"], [jax.ShapeDtypeStruct((2, 3), "float32")], training=True)
    assert (traced.needs(0), traced.needs(1)) == (True, False)
    assert traced.result["params"]["Dense_0"]["kernel"].shape == (3, 2)


INPUT = jax.ShapeDtypeStruct((2, 3), jnp.float32)
VALUES = np.ones((2, 3), np.float32)


class Auto(nn.Module):
    """Its init sees all of it; its methods take masks of different names."""

    def setup(self):
        self.inner = nn.Dense(4)
        self.drop = nn.Dropout(0.5)

    def __call__(self, x, mask=None, train=True):
        y = self.inner(x)
        return self.drop(y, deterministic=not train)

    def encode(self, x, scale=1.0, key_mask=None, rngs=None):
        return self.inner(x) * scale


def call_of(module_call, **kwargs):
    settings = {"method": "encode", "init_method": "__call__"}
    return module_call(Auto(), INPUT, kwargs=kwargs, **settings)[0]


@pytest.mark.law("A4")
def test_a_mask_that_only_the_method_takes_is_not_handed_to_init(module_call):
    call = call_of(module_call, key_mask=VALUES[:, 0])
    args, kwargs = call.arguments(call.method, [VALUES, VALUES[:, 0]], False)
    assert kwargs["key_mask"].shape == (2,)
    args, kwargs = call.arguments(call.init_method, [VALUES, VALUES[:, 0]], True)
    assert (len(args), kwargs) == (1, {"train": True})
    both = module_call(Auto(), INPUT, kwargs={"mask": VALUES[:, 0]}, init_method="__call__")[0]
    assert "mask" in both.arguments(both.init_method, [VALUES, VALUES[:, 0]], True)[1]


@pytest.mark.law("B2")
def test_a_traced_init_has_the_values_of_raw_init(module_call):
    call = call_of(module_call)
    keys = {name: jax.random.key(seed) for seed, name in enumerate(("params", "dropout"))}
    traced = trace_init(call, ("params", "dropout"), [INPUT], training=True)
    raw = Auto().init(keys, VALUES)
    assert jax.tree.all(jax.tree.map(np.array_equal, traced.evaluate(keys, [INPUT]), dict(raw)))
