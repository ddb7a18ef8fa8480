"""The variables of an nnx module: their collections, roles and streams (C1, C2, R1)."""

import jax.numpy as jnp
import pytest
from flax import nnx

from flaxlayer_core import NnxModule, Role
from flaxlayer_core.modules.nnx.graph_variables import collection_of, role_of, state_variables
from packages.core.tests.modules.nnx.examples import Count, init, make

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


@pytest.mark.law("C1")
def test_types_of_variables_are_collections_and_random_state_is_none():
    variables, _ = init(NnxModule(make()))
    assert set(variables) == {"params", "batch_stats", "arrays", "Count"}
    assert set(variables["params"]) == {"dense", "norm", "layers"}
    assert set(variables["params"]["layers"]) == {"0", "1"}


@pytest.mark.law("C1")
def test_a_type_that_flax_does_not_know_is_called_by_its_name():
    assert collection_of(Count) == "Count"
    assert collection_of(nnx.BatchStat) == "batch_stats"


@pytest.mark.law("C2")
def test_params_train_records_pass_by_and_other_types_ask_their_calls():
    class Recorded(nnx.Intermediate):
        pass

    types = (nnx.Param, nnx.LoRAParam, nnx.Intermediate, nnx.Perturbation, Recorded, Count)
    trained, passing = Role.TRAINABLE, Role.TRANSIENT
    assert [*map(role_of, types)] == [trained, trained, passing, passing, passing, None]


@pytest.mark.law("R1")
def test_variables_of_streams_are_told_with_the_name_of_the_stream():
    state = nnx.split(make())[1]
    streams = {variable.stream for variable in state_variables(state) if variable.is_rng}
    assert streams == {"dropout"}
    assert all(variable.stream is None for variable in state_variables(state) if variable.is_param)


@pytest.mark.law("C1")
def test_a_variable_may_hold_a_tree():
    module = nnx.Module()
    module.table = nnx.Param({"a": jnp.ones(2), "b": [jnp.ones(3)]})
    [variable] = state_variables(nnx.split(module)[1])
    assert variable.path == ("params", "table")
    assert variable.paths == (("params", "table", "a"), ("params", "table", "b", "0"))
