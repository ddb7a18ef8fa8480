"""Keys as arguments of a raw call."""

import inspect

import jax
from flax import nnx

from flaxlayer_testing.oracle.key_parameters import KeyParameter, supplied_keys

A, B, ALL = jax.random.key(1), jax.random.key(2), jax.random.key(3)


def method(self, x, key, *, noise=None, rngs: "nnx.Rngs"): ...


SIGNATURE = inspect.signature(method)
TAKEN = (KeyParameter("key", "a"), KeyParameter("noise", "b"), KeyParameter("rngs", "c", True))


def supplied(rngs, *, given=(), training=True):
    return supplied_keys(TAKEN, SIGNATURE, dict.fromkeys(given), rngs, training=training)


def test_each_parameter_gets_the_key_of_its_stream():
    made = supplied({"a": A, "b": B, "c": ALL})
    assert (made["key"], made["noise"]) == (A, B)
    assert made["rngs"].c.key.get_value() == ALL


def test_the_key_of_params_serves_streams_without_one():
    assert supplied({"params": ALL})["noise"] == ALL


def test_at_inference_only_what_the_method_cannot_do_without_is_given():
    assert set(supplied({"params": ALL}, training=False)) == {"key", "rngs"}


def test_what_the_caller_gives_wins():
    assert set(supplied({"params": ALL}, given=["key"])) == {"noise", "rngs"}


def test_a_method_without_the_parameter_gets_none():
    signature = inspect.signature(lambda self, x: x)
    assert supplied_keys(TAKEN, signature, {}, {"params": ALL}, training=True) == {}


def test_any_key_serves_where_nothing_is_drawn_from_it():
    assert set(supplied({})) == {"key", "noise", "rngs"}
