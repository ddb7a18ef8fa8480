"""Weights are written all at once or not at all, and have the paths of the module (W1, S6, A8)."""

import flax.linen as nn
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer.weights.variables import replace_values, restoring_values, trains
from flaxlayer_core import Role


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=True)(nn.Dense(2)(x))


@pytest.fixture
def layer():
    layer = FlaxLayer(Net(), name="net")
    layer(np.ones((1, 3), "float32"))
    return layer


@pytest.fixture
def weights(layer):
    return layer._hosted.weights


def values_of(weights):
    return [np.asarray(value) for value in weights.jax_values()]


@pytest.mark.law("W1")
def test_variables_have_the_paths_and_the_order_of_the_layout(weights):
    paths = ["/".join(("net", *path)) for path in weights.layout.paths]
    assert [variable.path for variable in weights.variables] == paths
    assert list(weights.by_path()) == list(weights.layout.paths)


@pytest.mark.law("C2")
def test_trees_by_role_have_the_variables(weights):
    kernel = weights.tree(Role.TRAINABLE)["params"]["Dense_0"]["kernel"]
    assert kernel is weights.by_path()["params", "Dense_0", "kernel"]
    assert list(weights.tree(Role.STATE)) == ["batch_stats"]


@pytest.mark.law("C2")
def test_only_floating_variables_of_trainable_collections_train(weights):
    trained = [spec.path[0] for spec in weights.layout.specs if trains(spec, weights.layout)]
    assert set(trained) == {"params"}
    assert [v.trainable for v in weights.variables].count(True) == len(trained)


@pytest.mark.law("S6")
@pytest.mark.parametrize("stopped_by", [KeyboardInterrupt, ValueError])
def test_what_stops_a_replacement_leaves_all_values_as_they_were(stopped_by, weights):
    before = values_of(weights)

    def writes():
        for variable in weights.variables[:2]:
            yield variable, np.full(variable.shape, 7.0, "float32")
        raise stopped_by

    with pytest.raises(stopped_by):
        replace_values(writes())
    for left, right in zip(values_of(weights), before, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.law("S6")
def test_values_are_put_back_where_what_runs_inside_is_stopped(weights):
    before = values_of(weights)
    with pytest.raises(KeyError), restoring_values(weights.variables):
        for variable in weights.variables:
            variable.assign(np.full(variable.shape, 7.0, "float32"))
        raise KeyError
    for left, right in zip(values_of(weights), before, strict=True):
        np.testing.assert_array_equal(left, right)


def test_values_stay_where_nothing_is_stopped(weights):
    with restoring_values(weights.variables):
        weights.assign((v, np.full(v.shape, 7.0, "float32")) for v in weights.variables)
    assert {float(value.ravel()[0]) for value in values_of(weights)} == {7.0}


def test_in_a_stateless_scope_the_values_are_those_of_the_scope(weights):
    (variable, *_) = weights.variables
    other = keras.ops.full(variable.shape, 5.0)
    with keras.StatelessScope(state_mapping=[(variable, other)]):
        assert weights.values()[0] is other
    assert float(np.asarray(weights.values()[0]).ravel()[0]) != 5.0
