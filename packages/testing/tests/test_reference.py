import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_testing.raw import RawCall
from flaxlayer_testing.reference import Reference, probe_loss

X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)


class Everything(nn.Module):
    """Guarded and unguarded state, a sown value, a sown loss and a stream."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(2)(x)
        calls = self.variable("calls", "count", lambda: jnp.zeros((), jnp.int32))
        level = self.variable("levels", "level", lambda: jnp.ones(()))
        if not self.is_initializing():
            calls.value += 1
            if self.is_mutable_collection("levels"):
                level.value *= 2.0
        self.sow("intermediates", "h", x)
        self.sow("losses", "size", x.sum())
        return nn.Dropout(0.5, deterministic=not train)(x)


class OnlyAtInference(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return x if train else nn.Dense(2)(x)


@pytest.fixture(scope="module")
def reference():
    return Reference(RawCall(Everything(), (X,), {}))


@pytest.mark.law("C2")
def test_what_grows_when_it_is_fed_back_is_not_stored(reference):
    assert sorted(reference.stored) == ["calls", "levels", "params"]
    assert reference.state_collections == {"calls", "levels"}


@pytest.mark.law("C3")
def test_state_that_is_left_alone_where_it_may_not_change_is_denied_at_inference(reference):
    assert reference.denied == {"levels"}


@pytest.mark.law("C3")
def test_apply_changes_at_inference_what_is_not_denied(reference):
    variables = dict(Everything().init(jax.random.key(0), X))
    stored = {name: variables[name] for name in reference.stored}
    _, updates = reference.apply(stored, {}, training=False)
    assert int(updates["calls"]["count"]) == 1
    assert "levels" not in updates
    assert sorted(reference.transient(updates)) == ["intermediates", "losses"]
    assert float(reference.sown_loss(updates)) == float(updates["losses"]["size"][0])
    following = reference.next_variables(stored, updates)
    assert sorted(following) == sorted(stored)
    assert int(following["calls"]["count"]) == 1


@pytest.mark.law("R1")
def test_it_knows_which_mode_needs_random_numbers(reference):
    assert reference.needs_rng(training=True)
    assert not reference.needs_rng(training=False)


@pytest.mark.law("B2")
def test_a_variable_that_only_inference_makes_comes_from_an_init_at_inference():
    reference = Reference(RawCall(OnlyAtInference(), (X,), {}))
    raw = OnlyAtInference().init(jax.random.key(3), X, train=False)
    made = reference.init({"params": jax.random.key(3)})
    np.testing.assert_array_equal(
        made["params"]["Dense_0"]["kernel"], raw["params"]["Dense_0"]["kernel"]
    )
    assert list(reference.stored) == ["params"]


def test_arrays_made_inside_a_trace_do_not_leak_out_of_it():
    reference = Reference(RawCall(nn.Dense(2), (X,), {}))
    reference.stored  # noqa: B018
    reference.apply(nn.Dense(2).init(jax.random.key(0), X), {}, training=True)


def test_static_arguments_stay_static_and_half_precision_inputs_become_jax_arrays():
    class Static(nn.Module):
        def __call__(self, x, *, how):
            return x if how == "same" else -x

    x = X.astype(jnp.bfloat16)
    outputs, _ = Reference(RawCall(Static(), (x,), {"how": "other"})).apply({}, {}, training=False)
    np.testing.assert_array_equal(outputs, -x)


def test_no_two_elements_weigh_the_same_in_the_probe_loss():
    grad = jax.grad(lambda x: probe_loss({"y": x, "tokens": jnp.arange(3)}))(jnp.ones(32))
    assert len(set(np.asarray(grad).tolist())) == 32
