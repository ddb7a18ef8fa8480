"""Mutated configurations, and random ones, load or are refused (S2, S3)."""

import json
from types import SimpleNamespace

import flax.linen as nn
import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
from hypothesis import HealthCheck, example, given, settings
from ml_collections import ConfigDict, FrozenConfigDict
from ml_collections.config_dict import placeholder

from flaxlayer_core import DecodeModuleError
from flaxlayer_core.config import decode_module, decode_value, encode_module
from packages.core.tests.config.hostile_names import NAMES


class Rich(nn.Module):
    parts: object


class Settings:
    def __init__(self, held):
        self.held = held

    def get_config(self):
        return {"held": self.held}


def rich():
    shared = nn.Dense(2, kernel_init=nn.with_partitioning(nn.initializers.normal(), ("a", None)))
    lifted = nn.vmap(nn.Dense, {"params": 0}, {"params": True})
    return Rich(
        {
            "modules": [shared, nn.Sequential([shared, nn.relu]), lifted(3)],
            3: (1.5, float("inf"), 2j, b"abc", 10**30, slice(1, None), range(3), ...),
            "arrays": [
                np.arange(3),
                jnp.ones((2, 1)),
                np.float32(2),
                np.dtype("int8"),
                jnp.bfloat16,
            ],
            "sets": [{1, "a"}, frozenset([2])],
            "configurations": [
                Settings(SimpleNamespace(a=1)),
                ConfigDict({"a": 1, "b": {"c": placeholder(int)}}).lock(),
                FrozenConfigDict({"a": [1]}),
            ],
        }
    )


VALID = json.dumps(encode_module(rich()))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(NAMES),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(node, path=()):
    yield path
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, child in items:
        yield from places(child, (*path, key))


def pick(node, path):
    for key in path:
        node = node[key]
    return node


PLACES = list(places(json.loads(VALID)))[1:]


@st.composite
def mutated(draw):
    config = json.loads(VALID)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(PLACES))
        try:
            parent = pick(config, path[:-1])
            parent[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue
        if isinstance(parent, str):
            continue  # which stands in the place of a list by now
        action = draw(st.sampled_from(["replace", "delete", "transplant", "duplicate"]))
        if action == "delete":
            del parent[path[-1]]
        elif action == "replace":
            parent[path[-1]] = draw(json_values)
        elif action == "transplant":
            parent[path[-1]] = pick(json.loads(VALID), draw(st.sampled_from(PLACES)))
        elif isinstance(parent, list):
            parent.append(parent[path[-1]])
    return config


@settings(deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_a_mutated_configuration_loads_or_is_refused(config):
    try:
        module = decode_module(config)
    except DecodeModuleError:
        return
    assert isinstance(module, nn.Module)


TAGS = sorted(
    {pick(json.loads(VALID), p) for p in PLACES if p[-1] == "$type"}
    | {"partial", "enum", "method", "ref"}
)
KEYS = sorted(
    {key for path in PLACES for key in path if isinstance(key, str)}
    | {"func", "args", "keywords", "member"}
)
nodes = st.recursive(
    json_values,
    lambda inner: st.builds(
        lambda tag, rest: {"$type": tag, **rest},
        st.sampled_from(TAGS),
        st.dictionaries(
            st.sampled_from(KEYS),
            inner | st.lists(st.lists(inner, max_size=2), max_size=2),
            max_size=4,
        ),
    ),
    max_leaves=10,
)


@settings(deadline=None, max_examples=500)
@given(json_values | nodes)
@example({"$type": "dict", "items": [[[[[]]], 1]]})
def test_random_json_loads_or_is_refused(config):
    try:
        decode_value(config, path="value")
    except DecodeModuleError:
        return
