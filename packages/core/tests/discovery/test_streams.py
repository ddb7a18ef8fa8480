"""Rng streams: which a module draws from, in which mode (R1)."""

import contextlib
import threading

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax.errors import InvalidRngError

from flaxlayer_core import BuildModuleError, LinenModule
from flaxlayer_core.discovery.streams import find_streams

pytestmark = pytest.mark.law("R1")

X = jax.ShapeDtypeStruct((2, 4), jnp.float32)
STEPS = jax.ShapeDtypeStruct((2, 3, 4), jnp.float32)


def streams(found):
    return found.init_streams, found.training.streams, found.inference.streams


def noise(module, name, x):
    return x + jax.random.normal(module.make_rng(name), x.shape)


class Dropped(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.Dropout(0.5, deterministic=not train)(nn.Dense(4)(x))


class Draws(nn.Module):
    """Draws from streams in order, and looks before it draws from guarded ones."""

    names: tuple = ()
    guarded: tuple = ()

    @nn.compact
    def __call__(self, x):
        for name in self.names:
            x = noise(self, name, x)
        for name in self.guarded:
            if self.has_rng(name):
                x = noise(self, name, x)
        return x


class DrawsDefault(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x + jax.random.normal(self.make_rng(), x.shape)


class Careful(nn.Module):
    """Catches the error of a stream that is not there."""

    @nn.compact
    def __call__(self, x):
        try:
            return noise(self, "noise", x)
        except InvalidRngError:
            return x


class AsksOnly(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x * 2 if self.has_rng("noise") else x


class GuardedByAnother(nn.Module):
    """Draws from `b` only where `a` is there too, which it never draws from."""

    @nn.compact
    def __call__(self, x, train):
        if train and self.has_rng("a") and self.has_rng("b"):
            return noise(self, "b", x)
        return x


class InitDraws(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x + self.variable("basis", "w", lambda: noise(self, "basis", jnp.zeros(4))).value


class ScanBody(nn.Module):
    train: bool

    @nn.compact
    def __call__(self, x, _):
        return nn.Dropout(0.5, deterministic=not self.train)(nn.Dense(4)(x)), None


class Scanned(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        body = nn.scan(
            ScanBody,
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            length=3,
        )
        return body(train)(x, None)[0]


class ByAnother(nn.Module):
    """Has the initial value of its param from another module; each call asks for its shape."""

    @nn.compact
    def __call__(self, x):
        def kernel(key):
            return nn.Dense(4, parent=None).init(key, x)["params"]["kernel"]

        return x @ self.param("kernel", kernel)


class Vmapped(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        ensemble = nn.vmap(
            ScanBody,
            in_axes=(None, None),
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            axis_size=3,
        )
        return ensemble(train)(x, None)[0]


class Remat(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.remat(ScanBody)(train)(x, None)[0]


class Jitted(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.jit(ScanBody)(train)(x, None)[0]


class NoisyCell(nn.RNNCellBase):
    @nn.compact
    def __call__(self, carry, x):
        return nn.GRUCell(4)(carry, noise(self, "noise", x))

    @nn.nowrap
    def initialize_carry(self, rng, input_shape):
        return jnp.zeros((*input_shape[:-1], 4))

    @property
    def num_feature_axes(self):
        return 1


class Starved(nn.Module):
    """Lifts a module without the stream that it draws from."""

    @nn.compact
    def __call__(self, x):
        body = nn.vmap(Draws, variable_axes={}, split_rngs={})
        return body(names=("noise",))(x)


def test_dropout_draws_in_training_only(examined):
    assert streams(examined(Dropped(), X)) == (("dropout", "params"), ("dropout",), ())


def test_a_module_that_draws_nothing_gets_no_stream(examined):
    assert streams(examined(nn.Dense(2), X)) == (("params",), (), ())


def test_initialisers_that_init_another_module_draw_nothing_in_calls(examined):
    found = examined(ByAnother(), X)
    assert streams(found) == (("params",), (), ())


def test_a_stream_of_any_name_is_found(examined):
    assert streams(examined(Draws(("gumbel",)), X))[1] == ("gumbel",)


def test_a_draw_without_a_guard_is_made_at_inference_too(examined):
    assert streams(examined(Draws(("z",)), X)) == (("params", "z"), ("z",), ("z",))


def test_a_stream_that_the_module_looks_for_is_passed_in_training_only(examined):
    found = examined(Draws(guarded=("noise",)), X)
    assert streams(found) == (("noise", "params"), ("noise",), ())


def test_several_streams_are_found_at_once(examined):
    found = examined(Draws(("b", "a"), guarded=("d", "c")), X)
    assert streams(found) == (("a", "b", "c", "d", "params"), ("a", "b", "c", "d"), ("a", "b"))


def test_a_stream_that_only_guards_another_is_not_passed(examined):
    assert "a" not in examined(GuardedByAnother(), X).training.streams


def test_a_stream_that_is_looked_for_and_not_drawn_from_is_not_passed(examined):
    assert streams(examined(AsksOnly(), X)) == (("params",), (), ())


def test_a_stream_whose_absence_is_caught_is_passed_in_training_only(examined):
    assert streams(examined(Careful(), X)) == (("noise", "params"), ("noise",), ())


def test_the_default_stream_of_make_rng_is_params(examined):
    assert streams(examined(DrawsDefault(), X)) == (("params",), ("params",), ("params",))


@pytest.mark.parametrize("names", [("params", "noise"), ("noise", "params")])
def test_a_stream_is_its_own_where_flax_would_fall_back_to_params(examined, names):
    found = examined(Draws(names), X)
    assert streams(found) == (("noise", "params"),) * 3


def test_init_streams_are_those_of_initializers(examined):
    assert streams(examined(InitDraws(), X)) == (("basis", "params"), (), ())


@pytest.mark.parametrize(
    "module", [Scanned(), Vmapped(), Remat(), Jitted()], ids=lambda module: type(module).__name__
)
def test_a_stream_inside_a_lifted_transform_is_found(examined, module):
    assert streams(examined(module, X)) == (("dropout", "params"), ("dropout",), ())


def test_a_stream_inside_a_compiled_module_is_found_again(examined):
    module = Jitted()
    assert streams(examined(module, X)) == streams(examined(module, X))


def test_a_stream_inside_a_recurrence_is_found(examined):
    module = nn.RNN(NoisyCell(), split_rngs={"params": False, "noise": True})
    assert streams(examined(module, STEPS)) == (("noise", "params"), ("noise",), ("noise",))


def test_a_stream_that_a_transform_does_not_lift_is_an_error_that_names_it(examined):
    with pytest.raises(BuildModuleError, match='needs PRNG for "noise"'):
        examined(Starved(), X)


def test_listed_streams_are_passed_in_both_modes(examined):
    found = examined(Draws(guarded=("noise",)), X, rngs=("noise",))
    assert (found.training.streams, found.inference.streams) == (("noise",), ("noise",))


def test_a_stream_that_is_not_listed_is_not_passed(examined):
    found = examined(Draws(guarded=("a", "b")), X, rngs=("b",))
    assert found.training.streams == ("b",)


def test_a_listed_stream_that_nobody_draws_from_is_not_passed(examined):
    assert examined(Dropped(), X, rngs=("dropout", "noise")).training.streams == ("dropout",)


def test_an_unlisted_stream_that_the_module_cannot_do_without_is_an_error(examined):
    with pytest.raises(BuildModuleError, match='needs PRNG for "z"'):
        examined(Draws(("z",)), X, rngs=())


def test_the_streams_that_are_found_suffice_for_raw_apply(examined):
    module, x = Draws(("a",), guarded=("b",)), jnp.ones((2, 4))
    for training in (True, False):
        names = examined(module, X).plan(training).streams
        module.apply({}, x, rngs={name: jax.random.key(1) for name in names})


def test_another_thread_is_neither_recorded_nor_disturbed():
    module, results = Draws(("elsewhere",)), []

    def work():
        results.append(module.apply({}, jnp.ones((2, 4)), rngs={"elsewhere": jax.random.key(1)}))

    linen = LinenModule(nn.Dense(2))
    with linen.record_streams() as record:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    expected = module.apply({}, jnp.ones((2, 4)), rngs={"elsewhere": jax.random.key(1)})
    assert jnp.array_equal(results[0], expected)
    assert (record.asked, record.drawn) == (set(), set())


def test_threads_that_examine_at_once_find_each_their_own(examined):
    found = {}

    def work(name):
        found[name] = examined(Draws((name,)), X).training.streams

    threads = [threading.Thread(target=work, args=(f"stream{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {f"stream{n}": (f"stream{n}",) for n in range(4)}


def test_the_search_returns_what_the_last_evaluation_returned():
    offered = []

    def run(names):
        offered.append(names)
        return Draws(("z",)).apply({}, jnp.ones(2), rngs=dict.fromkeys(names, jax.random.key(0)))

    linen = LinenModule(Draws(("z",)))
    result, drawn = find_streams(linen, run, start=(), listed=None, optimistic=False)
    assert offered == [(), ("z",)]
    assert drawn == ("z",)
    assert jnp.array_equal(result, run(("z",)))


@pytest.mark.law("B6")
@pytest.mark.parametrize("asks", [True, False])
def test_an_evaluation_ends_where_a_stream_turns_out_to_be_wanted(asks):
    calls = []

    class Deep(nn.Module):
        @nn.compact
        def __call__(self, x):
            for name in ("first", "second"):
                calls.append(name)
                with contextlib.suppress(Exception):  # no module is to handle it
                    x = x + self.has_rng(name) if asks else noise(self, name, x)
            calls.append("rest")
            return nn.Dense(2)(x)

    module = Deep()
    keys = dict.fromkeys(("params", "first", "second"), jax.random.key(0))

    def run(names):
        return module.init({name: keys[name] for name in names}, jnp.ones((1, 2)))

    linen = LinenModule(module)
    _, drawn = find_streams(linen, run, start=("params",), listed=None, optimistic=True)
    assert drawn == (("params",) if asks else ("first", "params", "second"))
    whole = ["first", "second", "rest"]
    # What only asks is run once more, with what it draws from alone.
    assert calls == ["first", "first", "second", *whole, *(whole if asks else ())]


def test_an_error_of_the_module_is_not_taken_for_a_missing_stream():
    def run(names):
        raise ValueError(names)

    linen = LinenModule(Dropped())
    with pytest.raises(ValueError, match=r"\(\)"):
        find_streams(linen, run, start=(), listed=None, optimistic=True)
