"""Bad input is explained, and nothing is half-changed after it (§11)."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import (
    AcceptModuleError,
    CallArgumentError,
    DrawKeysError,
    InspectMethodError,
    MatchVariablesError,
)

X = np.ones((2, 4), np.float32)


@pytest.mark.parametrize(
    ("make", "found", "fix"),
    [
        (lambda: nn.Dense, "the class Dense", "Pass an instance: Dense(...)."),
        (lambda: 3, "int: 3", "Pass an instance of flax.linen.Module, or an nnx module."),
        (
            lambda: nn.Dense(2).bind({"params": {}}),
            "a bound module",
            "Pass the module that `Module.bind` was called on.",
        ),
    ],
)
def test_what_is_no_module_is_refused(make, found, fix):
    with pytest.raises(AcceptModuleError) as caught:
        FlaxLayer(make())
    lines = str(caught.value).splitlines()
    assert lines[0] == "FlaxLayer cannot take this as a module."
    assert lines[2:] == [f"Found: {found}", f"Fix: {fix}"]
    assert isinstance(caught.value, TypeError)


@pytest.mark.law("A3")
@pytest.mark.parametrize("name", ["nope", "init", "apply", "_private", "__init__", "kernel_init"])
def test_what_is_no_public_method_is_refused(name):
    with pytest.raises(InspectMethodError) as caught:
        FlaxLayer(nn.Dense(3), method=name)
    assert str(caught.value).splitlines() == [
        "Module Dense has no such public method.",
        "Expected: one of: __call__",
        f"Found: {name!r}",
        "Fix: Name a public method of the module, or pass a function f(module, ...).",
        "Law: A3",
    ]


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "a"])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(DrawKeysError, match="0 <= seed < 2"):
        FlaxLayer(nn.Dense(3), seed=seed)


def test_an_unknown_state_updates_is_refused():
    with pytest.raises(CallArgumentError, match="always, training, never"):
        FlaxLayer(nn.Dense(3), state_updates="sometimes")


def test_inputs_of_another_form_than_built_are_explained(same_bits):
    layer = FlaxLayer(nn.Dense(3), name="dense")
    layer(X)
    before = layer.flax_variables()
    with pytest.raises(CallArgumentError) as caught:
        layer(np.ones((2, 5), np.float32))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(
        "Layer 'dense' (Dense.__call__) failed on inputs of another form than it was built with"
    )
    assert lines[1:3] == ["Expected: float32[2,4]", "Found: float32[2,5]"]
    same_bits(layer.flax_variables(), before)
    assert layer(X).shape == (2, 3)


def test_inputs_that_the_module_refuses_at_build_are_explained():
    layer = FlaxLayer(nn.Conv(3, (3, 3)), name="conv")
    with pytest.raises(ValueError) as caught:
        layer(np.ones((5,), np.float32))
    assert "Layer 'conv' (module Conv) cannot be evaluated" in str(caught.value)
    assert not layer.built
    assert layer.weights == []
    assert layer(np.ones((1, 8, 8, 1), np.float32)).shape == (1, 8, 8, 3)


def test_variables_that_are_no_tree_are_refused():
    with pytest.raises(MatchVariablesError, match="mapping of collections"):
        FlaxLayer(nn.Dense(3), variables=[1, 2])


@pytest.mark.law("W2")
def test_loading_a_tree_that_does_not_fit_changes_nothing(same_bits):
    layer = FlaxLayer(nn.Dense(3))
    layer(X)
    before = layer.flax_variables()
    tree = {"params": {"bias": jnp.ones(3), "kernel": jnp.ones((9, 3)), "extra": jnp.ones(1)}}
    with pytest.raises(MatchVariablesError) as caught:
        layer.load_flax_variables(tree)
    assert "Found: params/extra: unknown; params/kernel: shape [9,3]" in str(caught.value)
    same_bits(layer.flax_variables(), before)
