import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_testing import Status, check_module
from flaxlayer_testing.oracle.linen_call import LinenCall
from flaxlayer_testing.oracle.oracle import Oracle
from flaxlayer_testing.oracle.probe import probe_loss

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


class Loops(nn.Module):
    """A loop that carries a collection, which Flax refuses with a `TypeError` of JAX."""

    @nn.compact
    def __call__(self, x):
        self.variable("turns", "last", lambda: jnp.zeros(()))
        dense = nn.Dense(3)
        x = dense(x)
        if self.is_initializing():
            return x
        return nn.while_loop(
            lambda module, x: x.sum() < -1e9,
            lambda module, x: x + 1.0,
            self,
            x,
            carry_variables="turns",
        )


class Either(nn.Module):
    """Two collections, one of which has to change."""

    @nn.compact
    def __call__(self, x):
        names = ("left", "right")
        counts = [self.variable(name, "count", lambda: jnp.zeros(())) for name in names]
        if not self.is_initializing():
            free = [self.is_mutable_collection(name) for name in names]
            counts[free.index(True)].value += 1.0
        return x


@pytest.fixture(scope="module")
def oracle():
    return Oracle(LinenCall(Everything(), (X,), {}))


@pytest.mark.law("C2")
def test_what_grows_when_it_is_fed_back_is_not_stored(oracle):
    assert sorted(oracle.stored) == ["calls", "levels", "params"]
    assert oracle.state_collections == {"calls", "levels"}


@pytest.mark.law("C3")
def test_state_that_is_left_alone_where_it_may_not_change_is_denied_at_inference(oracle):
    assert oracle.denied == {"levels"}


@pytest.mark.law("C3")
@pytest.mark.parametrize("module", [Loops(), Either()], ids=["loop", "either"])
def test_state_is_not_denied_to_a_module_that_fails_without_it_in_any_way(module):
    found = Oracle(LinenCall(module, (X,), {}))
    assert found.denied == set()
    layer = FlaxLayer(module)
    variables = found.init({"params": jax.random.key(0)})
    expected, _ = found.apply(variables, {}, training=False)
    layer.build(X.shape)
    layer.load_flax_variables(variables)
    np.testing.assert_array_equal(layer(X), expected)


@pytest.mark.law("C3")
def test_apply_changes_at_inference_what_is_not_denied(oracle):
    variables = dict(Everything().init(jax.random.key(0), X))
    stored = {name: variables[name] for name in oracle.stored}
    _, updates = oracle.apply(stored, {}, training=False)
    assert int(updates["calls"]["count"]) == 1
    assert "levels" not in updates
    assert sorted(oracle.transient(updates)) == ["intermediates", "losses"]
    assert float(oracle.sown_loss(updates)) == float(updates["losses"]["size"][0])
    following = oracle.next_variables(stored, updates)
    assert sorted(following) == sorted(stored)
    assert int(following["calls"]["count"]) == 1


@pytest.mark.law("R1")
def test_it_knows_which_mode_needs_random_numbers(oracle):
    assert oracle.needs_rng(training=True)
    assert not oracle.needs_rng(training=False)


@pytest.mark.law("B2")
def test_a_variable_that_only_inference_makes_comes_from_an_init_at_inference():
    oracle = Oracle(LinenCall(OnlyAtInference(), (X,), {}))
    raw = OnlyAtInference().init(jax.random.key(3), X, train=False)
    made = oracle.init({"params": jax.random.key(3)})
    np.testing.assert_array_equal(
        made["params"]["Dense_0"]["kernel"], raw["params"]["Dense_0"]["kernel"]
    )
    assert list(oracle.stored) == ["params"]


def test_arrays_made_inside_a_trace_do_not_leak_out_of_it():
    oracle = Oracle(LinenCall(nn.Dense(2), (X,), {}))
    oracle.stored  # noqa: B018
    oracle.apply(nn.Dense(2).init(jax.random.key(0), X), {}, training=True)


def test_static_arguments_stay_static_and_half_precision_inputs_become_jax_arrays():
    class Static(nn.Module):
        def __call__(self, x, *, how):
            return x if how == "same" else -x

    x = X.astype(jnp.bfloat16)
    outputs, _ = Oracle(LinenCall(Static(), (x,), {"how": "other"})).apply({}, {}, training=False)
    np.testing.assert_array_equal(outputs, -x)


def test_no_two_elements_weigh_the_same_in_the_probe_loss():
    grad = jax.grad(lambda x: probe_loss({"y": x, "tokens": jnp.arange(3)}))(jnp.ones(32))
    assert len(set(np.asarray(grad).tolist())) == 32


class Steers(nn.Module):
    """Python that branches on values, and state that inference changes."""

    @nn.compact
    def __call__(self, x):
        steps = self.variable("steps", "n", lambda: jnp.zeros((), jnp.int32))
        if not self.is_initializing():
            steps.value += 1
        return nn.Dense(2)(x) if float(x.sum()) > 0 else nn.Dense(2)(-x)


@pytest.mark.law("A6")
def test_a_module_that_cannot_be_traced_runs_op_by_op():
    steers = Oracle(LinenCall(Steers(), (X,), {}))
    assert not steers.traceable
    assert steers.state_collections == {"steps"}
    assert steers.denied == set()
    variables = Steers().init(jax.random.key(0), X)
    _, updates = steers.apply(variables, {}, training=False)
    assert int(updates["steps"]["n"]) == 1


@pytest.mark.law("C2")
def test_what_belongs_to_one_call_by_name_is_not_stored():
    class Perturbs(nn.Module):
        @nn.compact
        def __call__(self, x):
            return self.perturb("hidden", nn.Dense(2)(x))

    raw = LinenCall(Perturbs(), (X,), {})
    assert set(Oracle(raw).stored) == {"params"}
    assert set(Oracle(raw, ("intermediates",)).stored) == {"params", "perturbations"}


@pytest.mark.law("C2")
def test_state_that_only_an_application_makes_is_kept_from_then_on():
    class Late(nn.Module):
        @nn.compact
        def __call__(self, x):
            if not self.is_initializing():
                self.variable("calls", "n", lambda: jnp.zeros((), jnp.int32)).value += 1
            return x

    late = Oracle(LinenCall(Late(), (X,), {}))
    assert (set(late.stored), set(late.eventual)) == (set(), {"calls"})
    _, updates = late.apply({}, {}, training=False)
    variables = late.next_variables({}, updates)
    _, updates = late.apply(variables, {}, training=False)
    assert int(late.next_variables(variables, updates)["calls"]["n"]) == 2


@pytest.mark.law("A3")
def test_other_methods_are_those_that_take_the_arguments():
    class Coder(nn.Module):
        def setup(self):
            self.inner, self.outer = nn.Dense(2), nn.Dense(3)

        def encode(self, x):
            return self.inner(x)

        def decode(self, code):
            return self.outer(code)

        def blend(self, x, y):
            return x + y

        @nn.nowrap
        def part(self, name):
            return self.inner

        def __call__(self, x):
            return self.decode(self.encode(x))

    assert Oracle(LinenCall(Coder(), (X,), {})).other_methods == ("encode",)


class HalvesInside(nn.Module):
    """Computes in bfloat16 what goes in and comes out as float32."""

    @nn.compact
    def __call__(self, x):
        inner = nn.jit(nn.Dense)(2, dtype=jnp.bfloat16)
        return inner(x).astype(jnp.float32)


class OnValues(nn.Module):
    """Cannot be traced."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(2, param_dtype=jnp.float16)(x if float(x.sum()) > 0 else -x)


@pytest.mark.law("T4")
def test_the_dtypes_on_the_way_to_a_result_are_found():
    found = Oracle(LinenCall(HalvesInside(), (X,), {})).computed_dtypes
    assert {"bfloat16", "float32"} <= found
    assert "float16" not in found
    assert "float16" in Oracle(LinenCall(OnValues(), (X,), {})).computed_dtypes


class EmptyAtInference(nn.Module):
    """Takes no batch of none in training."""

    @nn.compact
    def __call__(self, x, train=False):
        return x - x.max() if train else x


@pytest.mark.law("R1")
def test_the_streams_of_a_mode_are_found_where_the_other_mode_refuses_the_call():
    full = Oracle(LinenCall(EmptyAtInference(), (X,), {}))
    empty = full.with_call(LinenCall(EmptyAtInference(), (X[:0],), {}))
    assert empty.drawn_streams(training=False) == frozenset()
    with pytest.raises(ValueError, match="zero-size"):
        empty.drawn_streams(training=True)


class LoopsInTraining(nn.Module):
    ends_at: str = "condition"

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(3)(x)
        if self.ends_at == "condition":
            return jax.lax.while_loop(lambda x: x.sum() < 9.0, lambda x: x + 1.0, x)
        return jax.lax.fori_loop(0, 3, lambda _, x: x + 1.0, x)


@pytest.mark.law("K1")
@pytest.mark.parametrize(("ends_at", "known"), [("condition", False), ("count", True)])
def test_it_knows_whether_jax_has_gradients(ends_at, known):
    oracle = Oracle(LinenCall(LoopsInTraining(ends_at), (X,), {}))
    assert oracle.differentiable is known
    report = check_module(LoopsInTraining(ends_at), X, only=["check_gradients", "check_fit"])
    assert report.ok
    status = Status.PASSED if known else Status.SKIPPED
    assert {entry.status for entry in report.entries} == {status}


@pytest.mark.law("K1")
def test_integers_do_not_keep_it_from_gradients():
    ids = np.arange(4, dtype=np.int32).reshape(2, 2)
    assert Oracle(LinenCall(nn.Embed(5, 3), (ids,), {})).differentiable


class Attends(nn.Module):
    """JAX asks for products of float16 by name, which a CPU has not."""

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(4)(x)[None, :, None]
        return jax.nn.dot_product_attention(x, x, x)


@pytest.mark.law("A7")
def test_a_dtype_that_this_processor_cannot_compute_in_is_not_borne():
    oracle = Oracle(LinenCall(Attends(), (X,), {}))
    variables = Attends().init(jax.random.key(0), X)
    half = jax.tree_util.tree_map(lambda leaf: jnp.asarray(leaf, "float16"), (variables, X))
    try:
        jax.jit(Attends().apply)(*half)
    except ValueError:
        assert not oracle.bears_dtype("float16")
    else:
        assert oracle.bears_dtype("float16")
    assert oracle.bears_dtype("bfloat16")
