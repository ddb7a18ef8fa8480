"""nnx modules behind core's protocol, beside the same objects called by themselves."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from flax.core import DenyList
from flax.errors import ModifyScopeVariableError

from flaxlayer_core import (
    BuildModuleError,
    NnxModule,
)
from flaxlayer_core.compat.private_nnx import variable_value
from packages.core.tests.modules.nnx.examples import (
    Net,
    X,
    apply,
    call_raw,
    init,
    make,
)

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


def leaves(tree):
    return {
        jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


@pytest.mark.law("B2")
def test_a_module_that_exists_keeps_its_values():
    module = make()
    variables, _ = init(NnxModule(module))
    assert variables["params"]["dense"]["kernel"] is variable_value(module.dense.kernel)


@pytest.mark.law("B2")
def test_a_module_that_is_made_has_the_values_of_its_constructor():
    module = NnxModule(functools.partial(Net, 4))
    variables, rngs = init(module)
    raw = Net(4, rngs=nnx.Rngs(**rngs))
    assert (variables["params"]["dense"]["kernel"] == variable_value(raw.dense.kernel)).all()
    assert (
        variables["params"]["layers"]["1"]["kernel"] == variable_value(raw.layers[1].kernel)
    ).all()


@pytest.mark.law("C7")
def test_sown_values_come_back_by_path():
    module = NnxModule(make())
    _, updates = apply(module, init(module)[0], training=False)
    raw = make()
    call_raw(raw, X, training=False)
    (sown,) = updates["intermediates"]["hidden"]
    assert (sown == variable_value(raw.hidden)[0]).all()


@pytest.mark.law("C3")
def test_the_object_is_never_changed():
    given = make()
    before = leaves(nnx.state(given))
    module = NnxModule(given)
    apply(module, init(module)[0], training=True, rngs={"dropout": jax.random.key(0)})
    after = leaves(nnx.state(given))
    assert before.keys() == after.keys()
    assert all(before[path] is after[path] for path in before)
    assert given.dropout.deterministic is False


@pytest.mark.law("C3")
def test_a_collection_that_may_not_change_and_does_is_an_error():
    module = NnxModule(make())
    with pytest.raises(ModifyScopeVariableError, match="Count"):
        apply(module, init(module)[0], training=False, mutable=DenyList(("params", "Count")))


@pytest.mark.law("C3")
def test_what_a_call_makes_of_a_param_is_not_kept():
    norm = nnx.SpectralNorm(nnx.Linear(3, 3, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
    module = NnxModule(norm)
    y, updates = apply(module, init(module)[0], training=True)
    assert "params" not in updates
    assert (y == norm(jnp.asarray(X))).all()


@pytest.mark.law("A1")
def test_a_param_without_a_value_is_one_that_the_call_sees_as_it_is():
    class Optional(nnx.Module):
        def __init__(self):
            self.scale = nnx.Param(jnp.asarray(2.0))
            self.bias = nnx.Param(None)

        def __call__(self, x):
            bias = variable_value(self.bias)
            return x * self.scale if bias is None else x + bias

    module = NnxModule(Optional())
    variables = init(module)[0]
    assert variables == {"params": {"bias": None, "scale": 2.0}}
    y, updates = apply(module, variables, training=True)
    assert "params" not in updates
    assert (y == Optional()(jnp.asarray(X))).all()


@pytest.mark.law("C2")
def test_an_attribute_that_is_no_variable_may_not_change():
    class Steps(nnx.Module):
        def __init__(self):
            self.steps = 0

        def __call__(self, x):
            self.steps += 1
            return x

    with pytest.raises(BuildModuleError, match=r"Steps changes an attribute that is no nnx\.Var"):
        apply(NnxModule(Steps()), {}, training=False)


@pytest.mark.law("W2")
def test_a_bound_module_holds_the_values_and_leaves_the_given_one_alone():
    given = make()
    module = NnxModule(given)
    variables, _ = init(module)
    variables["params"]["dense"]["bias"] = jnp.full(4, 7.0)
    bound = module.bind(variables)
    assert (variable_value(bound.dense.bias) == 7).all()
    assert (variable_value(given.dense.bias) == 0).all()
    assert bound.tied is bound.layers[0]


@pytest.mark.law("A6")
def test_logical_axis_rules_are_part_of_the_context_of_a_call():
    module = NnxModule(make())
    with nnx.logical_axis_rules([("embed", "model")]):
        assert module.call_context() == (("embed", "model"),)
    assert module.call_context() == ()


@pytest.mark.law("A6")
def test_interceptors_of_linen_modules_inside_cannot_be_part_of_a_key():
    with nn.intercept_methods(lambda f, args, kwargs, context: f(*args, **kwargs)):
        assert NnxModule(make()).call_context() is None
