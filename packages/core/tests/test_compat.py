"""Private APIs of JAX and Flax: one behaviour each, so that a release that moves one is noticed."""

import functools
import threading

import flax.linen as nn
import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.core.scope import Scope
from flax.errors import InvalidRngError

from flaxlayer_core import compat


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
def test_no_trace_is_under_way_outside_of_transformations():
    assert compat.trace_state_clean()


@pytest.mark.law("A6")
@pytest.mark.parametrize(
    "transform",
    [
        jax.jit,
        jax.grad,
        jax.vmap,
        lambda f: lambda x: jax.eval_shape(f, x),
        lambda f: lambda x: jax.jvp(f, (x,), (x,)),
        lambda f: lambda x: jax.lax.scan(lambda c, _: (f(c), None), x, length=1),
    ],
    ids=["jit", "grad", "vmap", "eval_shape", "jvp", "scan"],
)
def test_a_trace_is_under_way_inside_a_transformation(transform):
    seen = []

    def function(x):
        seen.append(compat.trace_state_clean())
        return x

    transform(function)(jnp.ones(2) if transform is jax.vmap else 1.0)
    assert seen == [False]
    assert compat.trace_state_clean()


@pytest.mark.law("A6")
def test_a_trace_of_another_thread_does_not_count():
    seen = []

    def function(x):
        thread = threading.Thread(target=lambda: seen.append(compat.trace_state_clean()))
        thread.start()
        thread.join()
        return x

    jax.eval_shape(function, 1.0)
    assert seen == [True]


@pytest.mark.law("A6")
def test_method_interceptors_are_seen_while_their_context_is_open():
    assert not compat.interceptors_active()
    with nn.intercept_methods(lambda f, args, kwargs, context: f(*args, **kwargs)):
        assert compat.interceptors_active()
    assert not compat.interceptors_active()


@pytest.mark.law("R1")
def test_a_drawn_stream_is_recorded():
    with compat.record_streams() as record:
        Draws().apply({}, rngs=keys("noise"))
    assert (record.drawn, record.missing) == ({"noise"}, None)


@pytest.mark.law("R1")
def test_a_stream_that_has_rng_was_asked_for_is_recorded():
    with compat.record_streams() as record:
        Draws(names=(), ask=("guard",)).apply({})
    assert (record.asked, record.drawn) == ({"guard"}, set())


@pytest.mark.law("R1")
def test_a_stream_that_is_missing_is_recorded():
    with compat.record_streams() as record, pytest.raises(InvalidRngError):
        Draws().apply({})
    assert record.missing == "noise"


@pytest.mark.law("R1")
def test_a_stream_that_flax_replaces_by_params_is_recorded():
    with compat.record_streams() as record:
        Draws().apply({}, rngs=keys("params"))
    assert (record.drawn, record.replaced) == ({"params"}, {"noise"})


@pytest.mark.law("R1")
def test_recording_moves_no_key():
    module = Draws(("noise", "noise"))
    plain = module.apply({}, rngs=keys("noise"))
    with compat.record_streams():
        recorded = module.apply({}, rngs=keys("noise"))
    assert [bool(a == b) for a, b in zip(plain, recorded, strict=True)] == [True, True]


@pytest.mark.law("R1")
def test_nothing_is_recorded_once_the_context_is_closed():
    with compat.record_streams() as record:
        pass
    Draws().apply({}, rngs=keys("noise"))
    assert record.drawn == set()


@pytest.mark.law("R1")
def test_an_inner_context_records_for_itself():
    with compat.record_streams() as outer:
        with compat.record_streams() as inner:
            Draws().apply({}, rngs=keys("noise"))
        Draws(("late",)).apply({}, rngs=keys("late"))
    assert (inner.drawn, outer.drawn) == ({"noise"}, {"late"})


@pytest.mark.law("R1")
def test_flax_is_left_as_it_was_after_an_error():
    original = Scope.has_rng, Scope.make_rng
    with pytest.raises(RuntimeError), compat.record_streams():
        raise RuntimeError
    assert (Scope.has_rng, Scope.make_rng) == original


@pytest.mark.law("R1")
def test_flax_is_left_as_it_was_when_threads_take_turns():
    original = Scope.has_rng, Scope.make_rng
    entered = threading.Event()

    def work():
        entered.set()
        with compat.record_streams():
            pass

    thread = threading.Thread(target=work)
    with compat.record_streams():
        thread.start()
        entered.wait()
        # The thread asks to record while the methods of this one are in place.
        thread.join(timeout=0.1)
    thread.join()
    assert (Scope.has_rng, Scope.make_rng) == original


def primitives(program):
    return [equation.primitive.name for equation in program.jaxpr.eqns]


@pytest.mark.law("S3")
def test_an_operation_is_shown_before_it_runs_and_a_compiled_function_too():
    shown, doubled = [], jax.jit(lambda x: jax.lax.sin(x) * 2)
    x = jnp.ones(3)
    with compat.before_operations(shown.append):
        jax.lax.cos(x)
        doubled(x)
        np.testing.assert_array_equal(doubled(x), jnp.sin(x) * 2)
    assert primitives(shown[0]) == ["cos"]
    assert any("sin" in primitives(program) for program in shown)
    count = len(shown)
    jax.lax.cos(x)
    assert len(shown) == count


@pytest.mark.law("S3")
def test_what_looking_raises_is_raised_in_the_place_of_running():
    def refuse(program):
        raise ValueError("too large")

    x = jnp.ones(3)
    for run in (jax.lax.exp, jax.jit(lambda x: jax.lax.exp(x) + 1)):
        with pytest.raises(ValueError, match="too large"), compat.before_operations(refuse):
            run(x)
        run(x)


@pytest.mark.law("S3")
def test_operations_of_another_thread_are_not_shown():
    shown, x = [], jnp.ones(3)
    with compat.before_operations(shown.append):
        thread = threading.Thread(target=lambda: jax.lax.cos(x))
        thread.start()
        thread.join()
    assert shown == []


@pytest.mark.law("B2")
def test_a_traced_function_is_cut_to_what_its_results_need():
    traced = jax.make_jaxpr(lambda used, unused: (unused @ unused, used * 2)[1:])(
        jnp.ones(2), jnp.ones((2, 2))
    )
    cut, used = compat.cut_to_needs(traced)
    assert used == [True, False]
    assert [equation.primitive.name for equation in cut.jaxpr.eqns] == ["mul"]


@pytest.mark.law("C6")
@pytest.mark.parametrize("name", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_the_implementation_of_a_key_is_named_as_jax_takes_it(name):
    key = jax.random.key(0, impl=name)
    assert compat.key_impl(key) == name
    assert jax.random.wrap_key_data(jax.random.key_data(key), impl=name).dtype == key.dtype


@pytest.mark.law("B2")
def test_an_operation_of_a_program_becomes_a_program_of_its_own():
    traced = jax.make_jaxpr(lambda x, y: {"sum": x + 1.0, "product": x * y})(1.0, 2.0)
    [multiply] = [e for e in traced.jaxpr.eqns if e.primitive.name == "mul"]
    jaxpr = compat.single_operation(traced.jaxpr, multiply, list(multiply.invars))
    program = jax.extend.core.jaxpr_as_fun(jax.extend.core.ClosedJaxpr(jaxpr, []))
    assert [float(value) for value in program(3.0, 4.0)] == [12.0]


@pytest.mark.law("A3")
@pytest.mark.parametrize("descriptor", [property, functools.partialmethod, staticmethod])
def test_a_descriptor_of_a_class_is_what_the_user_wrote(descriptor):
    written = descriptor(lambda module: 1)

    class Module(nn.Module):
        held = written

    assert compat.wrapped_descriptor(vars(Module)["held"]) is written
    assert compat.wrapped_descriptor(3) == 3


@pytest.mark.law("C3")
@pytest.mark.parametrize("jit", [nnx.jit, functools.partial(nnx.jit, static_argnums=0)])
def test_what_nnx_jit_made_tells_its_function(jit):
    def function(module):
        return module

    assert compat.without_jit(jit(function)) is function
    assert compat.without_jit(nnx.remat(function)) is not function
    assert compat.without_jit(function) is function
