"""A function is compiled once for each form of its inputs, and tells what its gradient needs."""

import jax
import jax.numpy as jnp
import numpy as np

from flaxlayer.backends.torch.traced_function import TracedFunction

X, Y = jnp.float32(2.0), jnp.float32(3.0)


def product(x, y):
    return {"product": x * y, "index": jnp.int32(1), "same": x}


def test_results_stand_in_memory_of_their_own():
    found = TracedFunction(product).plain(X, Y)
    assert found["same"].unsafe_buffer_pointer() != X.unsafe_buffer_pointer()
    np.testing.assert_allclose([found["product"], found["same"]], [6.0, 2.0])


def test_a_trace_tells_what_there_is():
    outputs, residuals = TracedFunction(product, moving=frozenset({1})).forward((0,), [X, Y])
    trace = residuals.trace
    assert trace.assemble(outputs)["product"] == 6.0
    assert [result.dtype.name for result in trace.results] == ["int32", "float32", "float32"]
    assert trace.bound == (1, 2)
    assert trace.moving == (1,)
    np.testing.assert_allclose(residuals.moving, [3.0])


def test_gradients_come_from_residuals_or_are_computed_again():
    function = TracedFunction(product)
    _, residuals = function.forward((0,), [X, Y])
    taken = [(X, Y)[index] for index in residuals.trace.taken]
    given = [jnp.float32(5.0), None]
    np.testing.assert_allclose(function.backward(residuals, taken, given), [15.0])
    again = function.gradients((0,), residuals.trace, (True, False), frozenset())
    np.testing.assert_allclose(again(X, Y, given[0]), [15.0])


def test_another_form_has_a_trace_of_its_own():
    function = TracedFunction(product)
    traces = [
        function.forward((0,), [jnp.ones(size), jnp.ones(size)])[1].trace for size in (1, 2, 1)
    ]
    assert traces[0] is traces[2] and traces[0] is not traces[1]


def test_what_has_no_gradient_is_found():
    def loops(x):
        return [jax.lax.while_loop(lambda y: y < 10, lambda y: y * 2, x), x * 2]

    function = TracedFunction(loops)
    _, residuals = function.forward((0,), [X])
    assert function.find_blocked((0,), residuals.trace).positions == {0}
