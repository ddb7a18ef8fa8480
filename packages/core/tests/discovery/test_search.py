"""What a module stores, found from inits and calls (A1, A3, B1, B2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from flaxlayer_core import (
    infer_call_spec,
    infer_module_spec,
    same_structure,
)
from packages.core.tests.discovery.examples import (
    Branches,
    Cached,
    InferenceOnly,
    Norm,
    Returns,
    Spectral,
    Tied,
    WeightNormed,
    X,
    raw_flag,
    roles,
)


@pytest.mark.law("B1")
@pytest.mark.parametrize(
    ("module", "args"),
    [
        (Norm(), (X,)),
        (nn.Dense(3), (X,)),
        (WeightNormed(), (X,)),
        (Spectral(), (X,)),
        (Tied(), (jax.ShapeDtypeStruct((2, 3), jnp.int32),)),
        (nn.RNN(nn.LSTMCell(3)), (jax.ShapeDtypeStruct((2, 3, 4), jnp.float32),)),
        (nn.MultiHeadDotProductAttention(2), (jax.ShapeDtypeStruct((2, 3, 4), jnp.float32),)),
        (nn.Sequential([nn.Dense(3), nn.relu, nn.Dense(2)]), (X,)),
        (Returns("a name"), (X,)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_stored_variables_are_those_of_raw_init(examined, module, args):
    flag = raw_flag(module, True)
    raw = jax.eval_shape(lambda *a: module.init(jax.random.key(0), *a, **flag), *args)
    assert same_structure(dict(examined(module, *args).variables), dict(raw))


@pytest.mark.law("B2")
def test_a_variable_that_only_inference_makes_is_found(examined):
    found = examined(InferenceOnly(), X)
    assert found.init_modes == (True, False)
    assert {"/".join(path) for path in found.layout.paths} == {
        "cache/last",
        "params/head/kernel",
        "params/head/bias",
        "params/body_True/kernel",
        "params/body_True/bias",
        "params/body_False/kernel",
        "params/body_False/bias",
    }


@pytest.mark.law("B2")
def test_a_module_whose_init_makes_everything_needs_no_second_init(examined):
    assert examined(Norm(), X).init_modes == (True,)


@pytest.mark.law("A6")
def test_abstract_discovery_refuses_to_branch_on_values(module_call):
    asked, _ = module_call(Branches(), X)
    with pytest.raises(jax.errors.ConcretizationTypeError):
        infer_module_spec(asked, [X])


@pytest.mark.law("A1")
def test_a_module_without_variables_or_arguments_is_examined(examined):
    class Constant(nn.Module):
        @nn.compact
        def __call__(self):
            return jnp.ones(3)

    found = examined(Constant())
    assert roles(found) == {}
    assert found.training.output.shape == (3,)


@pytest.mark.law("A1")
@pytest.mark.parametrize("mask", [None, X], ids=["left out", "given"])
def test_an_optional_argument_is_examined_as_it_is_given(examined, mask):
    class Optional(nn.Module):
        @nn.compact
        def __call__(self, x, mask=None):
            return x if mask is None else (x, mask)

    found = examined(Optional(), X, kwargs={"mask": mask})
    assert len(jax.tree_util.tree_leaves(found.training.output)) == (1 if mask is None else 2)


@pytest.mark.law("A3")
def test_another_method_may_initialize(examined):
    class Auto(nn.Module):
        def setup(self):
            self.encoder, self.decoder = nn.Dense(2), nn.Dense(4)

        def __call__(self, x):
            return self.decoder(self.encoder(x))

        def encode(self, x):
            return self.encoder(x)

    found = examined(Auto(), X, method="encode", init_method="__call__")
    assert {path[1] for path in found.layout.paths} == {"encoder", "decoder"}
    assert found.training.output.shape == (2, 2)


@pytest.mark.law("B1")
def test_another_call_of_a_built_layer_is_found_from_what_is_stored(examined, module_call):
    stored = examined(Norm(), X).variables
    asked, _ = module_call(Norm(), X, kwargs={"train": True})
    found = infer_call_spec(asked, [X], stored)
    assert same_structure(dict(found.variables), dict(stored))
    # train=True of the caller wins: inference updates the statistics too.
    assert found.inference.denied == ("params",)


@pytest.mark.law("B1")
def test_inputs_that_only_init_takes_are_enough_where_no_call_is_made(module_call):
    sequence = jax.ShapeDtypeStruct((2, 5, 4), jnp.float32)
    asked, _ = module_call(Cached(), sequence)
    found, _ = infer_module_spec(asked, [sequence], applied=False)
    raw = jax.eval_shape(lambda x: Cached().init(jax.random.key(0), x), sequence)
    assert not found.applied
    assert same_structure(dict(found.variables), raw)
