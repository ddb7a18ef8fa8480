"""Private APIs of linen: one behaviour each, so that a release that moves one is noticed."""

import functools
import threading

import flax.linen as nn
import jax
import jax.extend
import pytest
from flax.core import DenyList
from flax.core.scope import Scope
from flax.errors import InvalidRngError

from flaxlayer_core.compat import private_linen


class Draws(nn.Module):
    names: tuple = ("noise",)
    ask: tuple = ()

    @nn.compact
    def __call__(self):
        for name in self.ask:
            self.has_rng(name)
        return [self.make_rng(name) for name in self.names]


def keys(*names):
    return {name: jax.random.key(0) for name in names}


@pytest.mark.law("A6")
def test_method_interceptors_are_seen_while_their_context_is_open():
    assert private_linen.call_context() == ()
    with nn.intercept_methods(lambda f, args, kwargs, context: f(*args, **kwargs)):
        assert private_linen.call_context() is None
    assert private_linen.call_context() == ()


@pytest.mark.law("R1")
def test_a_drawn_stream_is_recorded():
    with private_linen.record_streams() as record:
        Draws().apply({}, rngs=keys("noise"))
    assert (record.drawn, record.missing) == ({"noise"}, None)


@pytest.mark.law("R1")
def test_a_stream_that_has_rng_was_asked_for_is_recorded():
    with private_linen.record_streams() as record:
        Draws(names=(), ask=("guard",)).apply({})
    assert (record.asked, record.drawn) == ({"guard"}, set())


@pytest.mark.law("R1")
def test_a_stream_that_is_missing_is_recorded():
    with private_linen.record_streams() as record, pytest.raises(InvalidRngError):
        Draws().apply({})
    assert record.missing == "noise"


@pytest.mark.law("R1")
def test_a_stream_that_flax_replaces_by_params_is_recorded():
    with private_linen.record_streams() as record:
        Draws().apply({}, rngs=keys("params"))
    assert (record.drawn, record.replaced) == ({"params"}, {"noise"})


@pytest.mark.law("R1")
def test_recording_moves_no_key():
    module = Draws(("noise", "noise"))
    plain = module.apply({}, rngs=keys("noise"))
    with private_linen.record_streams():
        recorded = module.apply({}, rngs=keys("noise"))
    assert [bool(a == b) for a, b in zip(plain, recorded, strict=True)] == [True, True]


@pytest.mark.law("R1")
def test_nothing_is_recorded_once_the_context_is_closed():
    with private_linen.record_streams() as record:
        pass
    Draws().apply({}, rngs=keys("noise"))
    assert record.drawn == set()


@pytest.mark.law("R1")
def test_an_inner_context_records_for_itself():
    with private_linen.record_streams() as outer:
        with private_linen.record_streams() as inner:
            Draws().apply({}, rngs=keys("noise"))
        Draws(("late",)).apply({}, rngs=keys("late"))
    assert (inner.drawn, outer.drawn) == ({"noise"}, {"late"})


class AppliesAnother(nn.Module):
    """Gives another module a key of its own, and one that it draws."""

    @nn.compact
    def __call__(self):
        another = Draws(("noise",), ask=("guard",)).apply({}, rngs=keys("noise"))
        key = self.make_rng("mine")
        return another, Draws(("noise",)).apply({}, rngs={"noise": key})


@pytest.mark.law("R1")
def test_a_module_that_is_applied_inside_of_another_draws_from_what_it_is_given():
    with private_linen.record_streams() as record:
        AppliesAnother().apply({}, rngs=keys("mine"))
        Draws(("late",)).apply({}, rngs=keys("late"))
    assert (record.drawn, record.asked) == ({"mine", "late"}, {"mine", "late"})


@pytest.mark.law("R1")
def test_flax_is_left_as_it_was_after_an_error():
    original = Scope.has_rng, Scope.make_rng, Scope.temporary
    with pytest.raises(RuntimeError), private_linen.record_streams():
        raise RuntimeError
    assert (Scope.has_rng, Scope.make_rng, Scope.temporary) == original


@pytest.mark.law("R1")
def test_flax_is_left_as_it_was_when_threads_take_turns():
    original = Scope.has_rng, Scope.make_rng
    entered = threading.Event()

    def work():
        entered.set()
        with private_linen.record_streams():
            pass

    thread = threading.Thread(target=work)
    with private_linen.record_streams():
        thread.start()
        entered.wait()
        # The thread asks to record while the methods of this one are in place.
        thread.join(timeout=0.1)
    thread.join()
    assert (Scope.has_rng, Scope.make_rng) == original


@pytest.mark.law("A3")
@pytest.mark.parametrize("descriptor", [property, functools.partialmethod, staticmethod])
def test_a_descriptor_of_a_class_is_what_the_user_wrote(descriptor):
    written = descriptor(lambda module: 1)

    class Module(nn.Module):
        held = written

    assert private_linen.wrapped_descriptor(vars(Module)["held"]) is written
    assert private_linen.wrapped_descriptor(3) == 3


@pytest.mark.law("C3")
def test_a_filter_tells_whether_it_holds_a_collection():
    held = [True, "params", ["params"], DenyList("cache")]
    assert all(private_linen.in_filter(each, "params") for each in held)
    left_out = [False, "cache", ["cache"], DenyList("params")]
    assert not any(private_linen.in_filter(each, "params") for each in left_out)


@pytest.mark.law("B5")
def test_logical_axes_go_to_mesh_axes_by_rules():
    found = private_linen.logical_to_mesh_axes(("embed", None), (("embed", "model"),))
    assert tuple(found) == ("model", None)


@pytest.mark.law("S2")
def test_flax_sets_these_attributes_of_a_class_anew():
    class Plain(nn.Module):
        pass

    assert private_linen.MODULE_ATTRIBUTES & vars(Plain).keys()
