"""`tf.train.Checkpoint` keeps the variables of a layer, as those of layers of Keras (K1)."""

import flax.linen as nn
import jax
import keras
import numpy as np
import pytest
import tensorflow as tf

from flaxlayer import FlaxLayer
from packages.layer.tests.backends.trained_by_hand import Net, functional

pytestmark = pytest.mark.law("K1", "S2")

X = np.linspace(-1.0, 1.0, 10, dtype=np.float32).reshape(2, 5)


@pytest.fixture
def saved(tmp_path):
    layer = FlaxLayer(Net(), seed=5)
    layer(X, training=True)
    path = tf.train.Checkpoint(model=functional(layer)).save(str(tmp_path / "run"))
    return layer, path


def same(layer, other, same_bits):
    same_bits(other.flax_variables(), layer.flax_variables())


def test_a_model_that_is_built_is_restored(saved, same_bits):
    layer, path = saved
    other = FlaxLayer(Net(), seed=6)
    other(X)
    status = tf.train.Checkpoint(model=functional(other)).restore(path)
    status.assert_existing_objects_matched()
    same(layer, other, same_bits)


def test_a_layer_that_is_built_later_takes_what_waits(saved, tmp_path, same_bits):
    layer, _ = saved
    path = tf.train.Checkpoint(layer=layer).save(str(tmp_path / "layer"))
    other = FlaxLayer(Net(), seed=6)
    tf.train.Checkpoint(layer=other).restore(path)
    other(X)
    same(layer, other, same_bits)


def test_the_checkpoint_names_variables_by_their_paths(saved):
    layer, path = saved
    names = [name for name, _ in tf.train.list_variables(path)]
    leaves = jax.tree_util.tree_leaves(layer.flax_variables())
    assert len([name for name in names if "_variables_by_path/" in name]) == len(leaves)
    assert any("params.SDense_0.Skernel" in name for name in names)


def test_the_layer_of_a_method_brings_the_variables_of_its_layer(tmp_path, same_bits):
    def model_of(seed):
        layer = FlaxLayer(nn.Dense(3), seed=seed)
        layer.build((None, 5))
        return layer, keras.Sequential([keras.Input((5,)), layer.method("__call__")])

    layer, model = model_of(5)
    path = tf.train.Checkpoint(model=model).save(str(tmp_path / "run"))
    other, again = model_of(6)
    tf.train.Checkpoint(model=again).restore(path).assert_existing_objects_matched()
    same(layer, other, same_bits)
