"""State that calls make or change in form (C2)."""

import flax.linen as nn
import jax.numpy as jnp
import pytest

from flaxlayer_core import (
    BuildModuleError,
    CollectionPolicy,
)
from packages.core.tests.discovery.examples import (
    LateState,
    X,
    roles,
)


@pytest.mark.law("C2")
def test_state_that_init_never_makes_has_a_place_and_a_flag(examined):
    found = examined(LateState(), X)
    assert found.layout.paths == [("late", "__made__"), ("late", "n")]
    assert roles(found) == {"late": "state"}


@pytest.mark.law("C2")
def test_state_that_changes_its_form_is_explained(examined):
    class Grows(nn.Module):
        @nn.compact
        def __call__(self, x):
            seen = self.variable("seen", "x", lambda: jnp.zeros(()))
            if not self.is_initializing():
                seen.value = jnp.zeros((2,))
            return x

    with pytest.raises(BuildModuleError) as caught:
        examined(Grows(), X, policy=CollectionPolicy(state=("seen",)))
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "Layer 'it' (module Grows) changes the form of its state 'seen' when it is applied."
    )
    assert lines[-1] == "Law: C2"


@pytest.mark.law("C2")
def test_state_that_init_never_makes_may_be_called_transient(examined):
    found = examined(LateState(), X, policy=CollectionPolicy(transient=("late",)))
    assert roles(found) == {"late": "transient"}
