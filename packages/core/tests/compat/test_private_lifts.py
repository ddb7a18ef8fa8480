"""The classes that lifted transforms make: one behaviour each."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from flaxlayer_core.compat import private_lifts

_MADE = {
    "checkpoint": lambda: nn.remat(nn.Dense, prevent_cse=False),
    "jit": lambda: nn.jit(nn.Dense),
    "map_variables": lambda: nn.map_variables(nn.Dense, "params", mutable=True),
    "scan": lambda: nn.scan(nn.LSTMCell, variable_broadcast="params", split_rngs={}),
    "vmap": lambda: nn.vmap(nn.Dense, {"params": 0}, {"params": True}, axis_size=2),
}


@pytest.mark.law("S1")
@pytest.mark.parametrize("name", sorted(_MADE))
def test_a_lifted_class_tells_its_transform_and_arguments_and_is_made_again(name):
    cls = _MADE[name]()
    assert private_lifts.is_lifted_class(cls)
    methods = private_lifts.lifted_methods(cls)
    method = methods["__call__"]
    assert method.transform is private_lifts.TRANSFORMS[name]
    given = {key: method.arguments for key, method in methods.items()}
    again = private_lifts.make_lifted(method.transform, cls.__bases__[0], given)
    assert private_lifts.is_lifted_class(again)
    assert again.__name__ == cls.__name__
    assert private_lifts.lifted_methods(again)["__call__"].arguments == method.arguments


@pytest.mark.law("S1")
def test_the_arguments_of_a_transform_have_names():
    arguments = private_lifts.lifted_methods(_MADE["vmap"]())["__call__"].arguments
    assert arguments["variable_axes"] == {"params": 0}
    assert arguments["axis_size"] == 2
    held = private_lifts.lift_arguments(_MADE["vmap"]())
    assert {"params": 0} in [value for group in held if isinstance(group, tuple) for value in group]


@pytest.mark.law("S1")
def test_a_plain_class_and_a_subclass_of_a_lifted_one_are_not_lifted():
    class Own(_MADE["vmap"]()):
        pass

    assert not private_lifts.is_lifted_class(nn.Dense)
    assert not private_lifts.is_lifted_class(Own)
    assert not private_lifts.lifted_methods(nn.Dense)


@pytest.mark.law("S1")
def test_a_class_that_is_made_again_runs_as_the_first():
    cls = _MADE["vmap"]()
    methods = {name: m.arguments for name, m in private_lifts.lifted_methods(cls).items()}
    transform = private_lifts.TRANSFORMS["vmap"]
    again = private_lifts.make_lifted(transform, nn.Dense, methods)
    x = jnp.ones((2, 3))
    made, wanted = (kind(4).init(jax.random.key(0), x) for kind in (again, cls))
    assert jax.tree_util.tree_all(jax.tree_util.tree_map(jnp.array_equal, made, wanted))
