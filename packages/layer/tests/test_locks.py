"""A layer is built once and called from several threads, from its first call on (A8)."""

import copy
import pickle
import sys
import threading
import warnings

import flax.linen as nn
import keras
import numpy as np
import pytest
from flax import nnx

from flaxlayer import FlaxLayer

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)
COUNT = 4


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(3)(x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        return nn.Dropout(0.5)(x, deterministic=not train)

    @nn.compact
    def encode(self, x):
        return nn.Dense(3)(x)


class NnxNet(nnx.Module):
    def __init__(self, *, rngs):
        self.dense = nnx.Linear(4, 3, rngs=rngs)
        self.norm = nnx.BatchNorm(3, momentum=0.5, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        x = self.norm(self.dense(x))
        self.sow(nnx.Intermediate, "hidden", x)
        return self.dropout(x)


MODULES = pytest.mark.parametrize("module", [Net(), NnxNet], ids=["linen", "nnx"])


@pytest.fixture(autouse=True)
def eager_threads():
    """Lets threads take turns as often as Python can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(*functions):
    """Runs functions in threads that start together; returns what they return."""
    barrier, results, errors = threading.Barrier(len(functions)), {}, []

    def run(index, function):
        barrier.wait()
        try:
            results[index] = function()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    return [results[index] for index in range(len(functions))]


@pytest.mark.law("A8")
@MODULES
def test_the_first_call_of_several_threads_builds_once(module, same_bits):
    layer, alone = FlaxLayer(module, seed=3), FlaxLayer(module, seed=3)
    expected = np.asarray(alone(X))
    for found in at_once(*[lambda: layer(X)] * COUNT):
        same_bits(np.asarray(found), expected)
    assert len(layer.weights) == len(alone.weights)
    same_bits(layer.flax_variables(), alone.flax_variables())


@pytest.mark.law("A8")
@MODULES
def test_calls_of_several_threads_draw_and_write_as_calls_one_after_the_other(module, same_bits):
    layer, alone = FlaxLayer(module, seed=3), FlaxLayer(module, seed=3)
    expected = sorted(np.asarray(alone(X, training=True)).tobytes() for _ in range(COUNT))
    found = at_once(*[lambda: layer(X, training=True)] * COUNT)
    assert sorted(np.asarray(one).tobytes() for one in found) == expected
    assert len(set(expected)) == COUNT
    same_bits(layer.flax_variables(), alone.flax_variables())


@pytest.mark.law("A8")
def test_new_kinds_of_calls_are_looked_at_in_several_threads(close):
    layer = FlaxLayer(Net(), state_updates="never")
    method = layer.method("__call__")
    outputs = at_once(
        lambda: layer(X),
        lambda: layer(X[:1]),
        lambda: layer(X, train=False),
        lambda: layer(X, True),
    )
    close(np.asarray(outputs[1]), np.asarray(outputs[0])[:1])
    close(np.asarray(method(X)), np.asarray(outputs[2]))
    assert outputs[3].shape == (2, 3)


@pytest.mark.law("A8")
def test_a_layer_and_its_methods_are_first_called_at_once(close):
    layer = FlaxLayer(Net(), init_method="__call__")
    method = layer.method("__call__")
    first, *others = at_once(*[lambda: layer(X), lambda: method(X)] * 2)
    for found in others:
        close(np.asarray(found), np.asarray(first))
    assert len(layer.weights) == 6


@pytest.mark.law("A8")
@MODULES
def test_layers_of_one_module_are_built_at_once(module):
    layers = [FlaxLayer(module, seed=1) for _ in range(COUNT)]
    outputs = at_once(*[lambda layer=layer: layer(X) for layer in layers])
    assert len({np.asarray(found).tobytes() for found in outputs}) == 1


@pytest.mark.law("A8")
def test_the_filters_of_warnings_are_as_they_were():
    before = list(warnings.filters)
    layer = FlaxLayer(NnxNet)
    at_once(*[lambda: layer(X), lambda: layer(X, training=True)] * 2)
    assert warnings.filters == before


@pytest.mark.law("A8")
def test_a_reader_sees_all_of_a_write_or_nothing(close):
    layer = FlaxLayer(Net())
    layer(X)
    zeros = {"params": {"Dense_0": {"kernel": np.zeros((4, 3)), "bias": np.zeros(3)}}}
    ones = {"params": {"Dense_0": {"kernel": np.ones((4, 3)), "bias": np.ones(3)}}}
    seen = []

    def write():
        for _ in range(20):
            layer.load_flax_variables(zeros)
            layer.load_flax_variables(ones)

    def read():
        for _ in range(100):
            dense = layer.flax_variables()["params"]["Dense_0"]
            seen.append((float(dense["kernel"][0, 0]), float(dense["bias"][0])))

    layer.load_flax_variables(zeros)
    at_once(write, read)
    assert set(seen) <= {(0.0, 0.0), (1.0, 1.0)}


@pytest.mark.law("A8")
def test_a_built_layer_is_copied_and_pickled_without_its_locks():
    layer = FlaxLayer(Net(), name="net")
    model = keras.Sequential([keras.Input((4,)), layer])
    copied = copy.deepcopy(layer._hosted.locks)
    assert copied.build is not layer._hosted.locks.build
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again.layers[0]._hosted.locks is not layer._hosted.locks
        np.testing.assert_array_equal(again(X), model(X))


@pytest.mark.law("A8")
def test_a_layer_is_built_inside_the_build_of_another(close):
    class Outer(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = FlaxLayer(Net())
            self.outer = self.inner.method("__call__")

        def build(self, shape):
            self.inner(np.zeros((1, 4), np.float32))
            self.built = True

        def call(self, x):
            return self.outer(x)

    outer = Outer()
    outer.inner(X)
    first, *others = at_once(*[lambda: outer(X)] * COUNT)
    for found in others:
        close(np.asarray(found), np.asarray(first))
