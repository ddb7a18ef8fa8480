"""What changes a trace of JAX is known, and what convolutions refuse passes where it may."""

import operator
import threading
from concurrent.futures import ThreadPoolExecutor

import jax
import pytest
from jax import export
from jax._src.lax import convolution

from flaxlayer.compat.jax_tracing import jit_is_disabled, symbolic_padding, trace_context


def trace_symbolic_padding():
    """Traces the gradient of a strided convolution over an unknown size: shapes of it and of x."""
    (size,) = export.symbolic_shape("size")
    inputs = [
        jax.ShapeDtypeStruct((1, size, 1), "float32"),
        jax.ShapeDtypeStruct((3, 1, 1), "float32"),
    ]

    def gradient(x, kernel):
        def total(x):
            dimensions = ("NWC", "WIO", "NWC")
            return jax.lax.conv_general_dilated(
                x, kernel, (2,), "SAME", dimension_numbers=dimensions
            ).sum()

        return jax.grad(total)(x)

    return jax.eval_shape(lambda *x: gradient(*x), *inputs).shape, inputs[0].shape


def is_refused():
    with pytest.raises(ValueError, match="padding argument"):
        trace_symbolic_padding()
    return True


def test_padding_may_be_symbolic_only_in_its_context():
    with symbolic_padding():
        found, expected = trace_symbolic_padding()
    assert found == expected
    assert is_refused()
    assert convolution.operator is operator


def test_contexts_may_be_nested():
    with symbolic_padding():
        with symbolic_padding():
            pass
        found, expected = trace_symbolic_padding()
        assert found == expected
    assert is_refused()


def test_an_error_ends_the_context():
    with pytest.raises(KeyError), symbolic_padding():
        raise KeyError
    assert convolution.operator is operator
    assert is_refused()


def test_a_context_is_of_its_thread_alone_however_two_overlap():
    opened, other_closed, checked = (threading.Event() for _ in range(3))

    def first():
        with symbolic_padding():
            assert opened.wait(60)
        other_closed.set()
        found = is_refused()
        assert checked.wait(60)
        return found

    def second():
        with symbolic_padding():
            opened.set()
            assert other_closed.wait(60)
            found, expected = trace_symbolic_padding()
            checked.set()
        return found == expected

    with ThreadPoolExecutor(2) as pool:
        assert [future.result() for future in (pool.submit(first), pool.submit(second))] == [
            True,
            True,
        ]
    assert convolution.operator is operator


def test_a_thread_outside_of_the_context_is_refused():
    with symbolic_padding(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(is_refused).result()


def test_the_context_of_a_trace_has_the_precision():
    before = trace_context()
    with jax.default_matmul_precision("highest"):
        assert trace_context() != before
    assert trace_context() == before


def test_a_disabled_jit_is_seen():
    assert not jit_is_disabled()
    with jax.disable_jit():
        assert jit_is_disabled()
