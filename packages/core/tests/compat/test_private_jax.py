"""Private APIs of JAX: one behaviour each, so that a release that moves one is noticed."""

import threading
import traceback

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core.compat import private_jax


def primitives(program):
    return [equation.primitive.name for equation in program.jaxpr.eqns]


@pytest.mark.law("A6")
def test_no_trace_is_under_way_outside_of_transformations():
    assert private_jax.trace_state_clean()


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
        seen.append(private_jax.trace_state_clean())
        return x

    transform(function)(jnp.ones(2) if transform is jax.vmap else 1.0)
    assert seen == [False]
    assert private_jax.trace_state_clean()


@pytest.mark.law("A6")
def test_a_trace_of_another_thread_does_not_count():
    seen = []

    def function(x):
        thread = threading.Thread(target=lambda: seen.append(private_jax.trace_state_clean()))
        thread.start()
        thread.join()
        return x

    jax.eval_shape(function, 1.0)
    assert seen == [True]


@pytest.mark.law("B2", "B3")
def test_outside_of_traces_there_are_values_and_the_body_of_a_loop_stays_as_it_is():
    made = []

    def loop():
        step = lambda carry, _: (carry * jax.lax.sqrt(jnp.float32(0.25)), None)  # noqa: E731
        return jax.lax.scan(step, jnp.float32(1), length=2)[0]

    def function(x):
        with private_jax.outside_traces():
            made.extend([jnp.ones(2) * 2, str(jax.make_jaxpr(loop)())])
        return x

    jax.eval_shape(function, 1.0)
    with jax.ensure_compile_time_eval():
        function(1.0)
    ones, program, again, within = made
    assert ones.tolist() == again.tolist() == [2.0, 2.0]
    assert "sqrt" in program
    assert program == within == str(jax.make_jaxpr(loop)())


@pytest.mark.law("S3")
def test_an_operation_is_shown_before_it_runs_and_a_compiled_function_too():
    shown, doubled = [], jax.jit(lambda x: jax.lax.sin(x) * 2)
    x = jnp.ones(3)
    with private_jax.before_operations(shown.append):
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
        with pytest.raises(ValueError, match="too large"), private_jax.before_operations(refuse):
            run(x)
        run(x)


@pytest.mark.law("S3")
def test_operations_of_another_thread_are_not_shown():
    shown, x = [], jnp.ones(3)
    with private_jax.before_operations(shown.append):
        thread = threading.Thread(target=lambda: jax.lax.cos(x))
        thread.start()
        thread.join()
    assert shown == []


@pytest.mark.law("C6")
@pytest.mark.parametrize("name", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_the_implementation_of_a_key_is_named_as_jax_takes_it(name):
    key = jax.random.key(0, impl=name)
    assert private_jax.key_impl(key) == name
    assert jax.random.wrap_key_data(jax.random.key_data(key), impl=name).dtype == key.dtype


@pytest.mark.law("R2")
@pytest.mark.parametrize("name", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_the_dtype_of_keys_tells_the_default_implementation(name):
    dtype = jax.random.key(0, impl=name).dtype
    assert private_jax.is_threefry(dtype) is (name == "threefry2x32")
    assert not private_jax.is_threefry(np.dtype("uint32"))


@pytest.mark.law("R5")
def test_jax_asks_an_object_for_known_attributes_only():
    asked = set()

    class Told:
        def __getattr__(self, name):
            asked.add(name)
            raise AttributeError(name)

    jax.tree_util.tree_leaves(Told())
    with pytest.raises(TypeError):
        jax.jit(lambda x: x)(Told())
    public = {name for name in asked if name[0] != "_"}
    assert public
    assert public <= private_jax.ASKED_OF_ANY


def failing_in_jit():
    def fails(x):
        raise RuntimeError("on purpose")

    jax.jit(fails)(1.0)


def frames_of(error):
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


@pytest.mark.law("B6")
def test_frames_of_jax_stay_until_they_are_taken_out():
    with pytest.raises(RuntimeError) as caught, private_jax.whole_tracebacks():
        failing_in_jit()
    error = caught.value
    whole = len(frames_of(error))
    private_jax.filter_traceback(error)
    assert frames_of(error)[-2:] == ["failing_in_jit", "fails"]
    assert len(frames_of(error)) < whole
    with pytest.raises(RuntimeError) as filtered:
        failing_in_jit()
    assert frames_of(filtered.value)[-1] == "fails"
    assert len(frames_of(filtered.value)) < whole


@pytest.mark.law("B6")
def test_whoever_wants_all_frames_gets_them():
    previous = jax.config.jax_traceback_filtering
    jax.config.update("jax_traceback_filtering", "off")
    try:
        with pytest.raises(RuntimeError) as caught:
            failing_in_jit()
        whole = frames_of(caught.value)
        private_jax.filter_traceback(caught.value)
        assert frames_of(caught.value) == whole
    finally:
        jax.config.update("jax_traceback_filtering", previous)


@pytest.mark.law("B6", "A8")
def test_tracebacks_of_other_threads_are_filtered():
    lengths = []

    def run():
        try:
            failing_in_jit()
        except RuntimeError as error:
            lengths.append(len(frames_of(error)))

    with private_jax.whole_tracebacks():
        run()
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert lengths[1] < lengths[0]
