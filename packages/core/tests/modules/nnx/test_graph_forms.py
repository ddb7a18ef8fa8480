"""A module of nnx with and without the state that its calls make (C2)."""

import jax.numpy as jnp
import pytest
from flax import nnx

from flaxlayer_core import (
    MatchVariablesError,
    NnxModule,
    Role,
)
from packages.core.tests.modules.nnx.examples import (
    Count,
    apply,
    init,
)

pytestmark = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


class Hidden(nnx.Intermediate):
    pass


class Shift(nnx.Variable):
    pass


class Shifted(nnx.Module):
    def __init__(self):
        self.by = Shift(jnp.ones(3))

    def __call__(self, x):
        return x + self.by[...]


class Later(nnx.Module):
    """Makes state in its calls: a module when it trains, a count when it does not."""

    def __init__(self, rngs):
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.dense = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x):
        if self.dropout.deterministic:
            if not hasattr(self, "count"):
                self.count = Count(jnp.zeros((), jnp.int32))
            self.count[...] += 1
        elif not hasattr(self, "late"):
            self.late = Shifted()
        self.sow(Hidden, "hidden", x)
        y = self.dropout(self.dense(x))
        return self.late(y) if hasattr(self, "late") else y


def facts(module):
    return (
        {name: module.default_role(name) for name in ("params", "Count", "Hidden", "Shift")},
        module.offered_streams(init=False),
        module.offered_streams(init=True),
        module.axis_names({}),
    )


@pytest.mark.law("C2")
@pytest.mark.parametrize("made", [Later, lambda: Later(nnx.Rngs(0))], ids=["class", "object"])
def test_a_module_learns_nothing_from_its_calls(made):
    value = made if made is Later else made()
    module = NnxModule(value)
    before = facts(module)
    variables, rngs = init(NnxModule(value))
    outputs = [
        apply(module, variables, training=training, rngs=rngs)[0] for training in (True, False)
    ]
    assert facts(module) == before == facts(NnxModule(value))
    untouched = NnxModule(value)  # which has made no variables either
    for training, expected in ((False, outputs[1]), (True, outputs[0])):
        assert (apply(untouched, variables, training=training, rngs=rngs)[0] == expected).all()


@pytest.mark.law("C2")
def test_a_module_that_runs_on_state_of_calls_is_another_one():
    module = NnxModule(Later)
    variables, rngs = init(module)

    def both():
        one = apply(module, variables, training=True, rngs=rngs)[1]
        return one, apply(module, variables, training=False, rngs=rngs)[1]

    (trained, counted), known = module.extended_by(both)
    assert (known.default_role("Hidden"), module.default_role("Hidden")) == (Role.TRANSIENT, None)
    # No call has made both: what is known of each is put together.
    stored = {**variables, "Count": counted["Count"], "Shift": trained["Shift"]}
    y, updates = apply(known, stored, training=False, rngs=rngs)
    assert updates["Count"]["count"] == 2
    without, _ = apply(known, {**variables, "Count": counted["Count"]}, training=False, rngs=rngs)
    assert (y == without + 1).all()


@pytest.mark.law("C2")
def test_variables_that_a_module_has_no_place_for_are_named():
    module = NnxModule(Later)
    variables, rngs = init(module)
    with pytest.raises(MatchVariablesError, match="Count/other"):
        apply(module, {**variables, "Count": {"other": 1}}, training=False, rngs=rngs)
