"""A configuration to change by hand, changes of it, and what must never run (S2, S3)."""

import copy
import json
import os

import flax.linen as nn
import keras
from hypothesis import strategies as st

from flaxlayer import FlaxLayer
from flaxlayer_core import FlaxLayerError

EXECUTED = []


class HostileNet(nn.Module):
    features: int = 2

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.features)(x)

    def encode(self, x):
        return self(x)

    def _private(self, x):
        EXECUTED.append("_private")
        return x


def stored():
    """The configuration of a built layer as a model file has it."""
    layer = FlaxLayer(HostileNet(), name="net", seed=1)
    layer.build((None, 4))
    return json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))


def place(config, path, value):
    """The configuration with one value replaced."""
    changed = copy.deepcopy(config)
    node = changed
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    return changed


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.sampled_from(
        ["", "os:system", "__class__", "flax.linen:Dense", "float32", "a/b", "x" * 300]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$type", "class", "fields", "class_name", "config", "items", "name"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


def paths(node, prefix=()):
    yield from ([prefix] if prefix else [])
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for key, value in items:
        yield from paths(value, (*prefix, key))


def assert_explained(error):
    """The error is this project's, or Keras raised it itself about one of its own arguments."""
    if isinstance(error, FlaxLayerError):
        return
    traceback = error.__traceback__
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    assert f"{os.sep}keras{os.sep}" in traceback.tb_frame.f_code.co_filename, repr(error)
