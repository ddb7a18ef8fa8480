"""State that a module makes only when it is applied (C2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core import BuildModuleError, LinenModule, MatchVariablesError
from flaxlayer_core.modules.lazy_state import LazyStateModule

pytestmark = pytest.mark.law("C2")

CALL = {"method": "__call__", "rngs": {}, "mutable": True}
N = jax.ShapeDtypeStruct((), jnp.int32)
KEY = jax.eval_shape(lambda: jax.random.key(0))


class Counts(nn.Module):
    """Counts its applications, beside a variable that init makes too."""

    collections: tuple[str, ...] = ("calls",)
    first_output: bool = False

    @nn.compact
    def __call__(self, x):
        self.variable("calls", "kept", lambda: jnp.zeros(()))
        known = self.has_variable(self.collections[0], "n")
        if not self.is_initializing():
            for name in self.collections:
                self.variable(name, "n", lambda: jnp.zeros((), jnp.int32)).value += 1
        return (x, x) if self.first_output and not known else x


def late_counts(*collections, **fields):
    late = {name: {"n": N} for name in collections}
    return LazyStateModule(LinenModule(Counts(collections, **fields)), late)


def init(module):
    return module.init({}, (1.0,), {}, method="__call__")


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("names", [("calls",), ("calls", "others")])
def test_calls_change_the_state_as_raw_calls_do(names, jit):
    module, raw = late_counts(*names), {"calls": {"kept": jnp.zeros(())}}
    stored = init(module)
    apply = lambda stored: module.apply(stored, (1.0,), {}, **CALL)  # noqa: E731
    for _ in range(3):
        _, stored = (jax.jit(apply) if jit else apply)(stored)
        _, raw = Counts(names).apply(raw, 1.0, mutable=True)
        assert jax.tree.map(int, module.raw_variables(stored)) == jax.tree.map(int, raw)


def test_what_is_not_made_is_not_in_the_raw_tree():
    module = late_counts("calls", "others")
    assert module.raw_variables(init(module)) == {"calls": {"kept": 0.0}}


def test_a_collection_that_may_not_change_keeps_its_flag():
    module = late_counts("calls")
    stored = init(module)
    _, updates = module.apply(stored, (1.0,), {}, **{**CALL, "mutable": ["calls"]})
    assert bool(updates["calls"]["__made__"])
    with pytest.raises(Exception, match="calls"):
        module.apply(stored, (1.0,), {}, **{**CALL, "mutable": []})
    _, none = module.apply(updates, (1.0,), {}, **{**CALL, "mutable": ["calls"]})
    assert bool(none["calls"]["__made__"])


def test_a_given_tree_with_late_state_gets_its_flag():
    module = late_counts("calls")
    given = module.stored_variables({"calls": {"n": np.int32(4)}})
    assert bool(given["calls"]["__made__"])
    assert module.stored_variables({"calls": {"kept": 1.0}}) == {"calls": {"kept": 1.0}}


def test_a_part_of_late_state_is_refused():
    module = LazyStateModule(LinenModule(Counts()), {"calls": {"n": N, "m": N}})
    with pytest.raises(MatchVariablesError, match="nothing for m"):
        module.stored_variables({"calls": {"n": 1}})
    with pytest.raises(BuildModuleError, match="only a part of 'calls'"):
        module.apply(init(module), (1.0,), {}, **CALL)


def test_outputs_that_change_their_form_are_explained():
    module = late_counts("calls", first_output=True)
    with pytest.raises(BuildModuleError, match="returns something else once its state is made"):
        jax.jit(lambda stored: module.apply(stored, (1.0,), {}, **CALL))(init(module))


def test_a_typed_key_may_be_made_late():
    module = LazyStateModule(LinenModule(nn.Dense(1)), {"keys": {"k": KEY}})
    stored = module.init({"params": jax.random.key(1)}, (jnp.ones((1, 1)),), {}, method="__call__")
    assert stored["keys"]["k"].dtype == KEY.dtype


def test_an_error_of_the_module_stays_its_own():
    class Fails(nn.Module):
        @nn.compact
        def __call__(self, x):
            raise TypeError("its own words")

    module = LazyStateModule(LinenModule(Fails()), {"calls": {"n": N}})
    stored = {"calls": {"n": jnp.zeros((), jnp.int32), "__made__": jnp.asarray(False)}}
    with pytest.raises(TypeError, match="its own words"):
        jax.jit(lambda stored: module.apply(stored, (1.0,), {}, **CALL))(stored)
