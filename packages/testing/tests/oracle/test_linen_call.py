"""One call of a raw linen module is what `init` and `apply` do."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from flax.errors import ModifyScopeVariableError

from flaxlayer_testing.oracle.key_parameters import KeyParameter
from flaxlayer_testing.oracle.linen_call import LinenCall

X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)
KEYS = {"params": jax.random.key(0), "dropout": jax.random.key(1)}


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        count = self.variable("count", "n", lambda: 0)
        if train and not self.is_initializing():
            count.value += 1
        return nn.Dropout(0.5, deterministic=not train)(nn.Dense(2)(x))


class Noisy(nn.Module):
    def __call__(self, x, key=None):
        return x if key is None else x + jax.random.normal(key, x.shape)


CALL = LinenCall(Net(), (X,), {})


def test_init_and_apply_are_those_of_the_module():
    variables = CALL.init(KEYS, training=True)
    expected = Net().init(KEYS, X, train=True)
    jax.tree.map(np.testing.assert_array_equal, variables, dict(expected))
    found, updates = CALL.apply(
        variables, KEYS, CALL.arrays, training=True, denied=frozenset({"params"})
    )
    outputs, _ = Net().apply(expected, X, train=True, rngs=KEYS, mutable=["count"])
    np.testing.assert_array_equal(found, outputs)
    assert updates == {"count": {"n": 1}}


def test_what_is_denied_is_not_changed():
    variables = CALL.init(KEYS, training=True)
    with pytest.raises(ModifyScopeVariableError):
        CALL.apply(variables, KEYS, CALL.arrays, training=True, denied=frozenset({"count"}))


def test_streams_are_those_that_the_module_asks_for():
    variables = CALL.init(KEYS, training=True)
    assert CALL.init_streams(jax.eval_shape) == {"params", "dropout"}
    drawn = {mode: CALL.drawn_streams(jax.eval_shape, variables, training=mode) for mode in (0, 1)}
    assert drawn == {0: frozenset(), 1: {"dropout"}}


def test_a_stream_that_fills_an_argument_is_drawn_from_where_it_matters():
    call = LinenCall(Noisy(), (X,), {}, keys=(KeyParameter("key", "noise", False),))
    assert call.drawn_streams(jax.eval_shape, {}, training=True) == {"noise"}
    assert call.drawn_streams(jax.eval_shape, {}, training=False) == frozenset()


def test_a_bound_module_is_taken_apart():
    variables = CALL.init(KEYS, training=True)
    module, held = CALL.unbind(Net().bind(variables))
    assert module == Net()
    jax.tree.map(np.testing.assert_array_equal, held, variables)


class Coder(nn.Module):
    def setup(self):
        self.inner, self.outer = nn.Dense(2), nn.Dense(4)

    def encode(self, x):
        return self.inner(x)

    def __call__(self, x):
        return self.outer(self.encode(x))


@pytest.mark.law("A3", "B2")
@pytest.mark.parametrize(
    ("init_method", "made"), [("encode", ["inner"]), ("__call__", ["inner", "outer"])]
)
def test_a_method_initialises(init_method, made):
    call = LinenCall(Coder(), (X,), {}, method="encode", init_method=init_method)
    variables = call.init(KEYS, training=True)
    expected = Coder().init(KEYS, X, method=init_method)
    jax.tree.map(np.testing.assert_array_equal, variables, dict(expected))
    assert sorted(variables["params"]) == made


@pytest.mark.law("R1")
@pytest.mark.parametrize("listed", ["dropout", "params"])
def test_a_call_has_the_streams_that_are_listed(listed):
    call = LinenCall(Net(), (X,), {}, listed=frozenset({listed}))
    variables = call.init(KEYS, training=True)
    drawn = [call.drawn_streams(jax.eval_shape, variables, training=t) for t in (True, False)]
    assert drawn == [{listed}, frozenset()]


def test_a_key_that_a_transform_folds_for_nothing_is_not_drawn_from():
    class Folded(nn.Module):
        @nn.compact
        def __call__(self, x, key):
            return nn.fold_rngs(nn.Dropout)(0.5)(x, deterministic=False)

    call = LinenCall(Folded(), (X,), {}, keys=(KeyParameter("key", "noise", False),))
    assert call.drawn_streams(jax.eval_shape, {}, training=True) == {"dropout"}
