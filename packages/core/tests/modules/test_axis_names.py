"""An axis that a module names, and nothing binds, has one element (A6)."""

import jax
import jax.numpy as jnp
import pytest

from flaxlayer_core.compat.private_jax import unbound_axis
from flaxlayer_core.modules.axis_names import bind_axes

pytestmark = pytest.mark.law("A6")

X = jnp.arange(6.0).reshape(3, 2)


def both(x):
    mean = jax.lax.pmean(x, "rows")
    return {"sum": jax.lax.psum(mean, "columns"), "at": jax.lax.axis_index("rows"), "none": None}


def test_collectives_over_axes_that_nothing_binds_leave_values_as_they_are():
    found = bind_axes(lambda: both(X))
    assert (found["sum"] == X).all()
    assert (int(found["at"]), found["none"]) == (0, None)


def test_an_axis_that_is_bound_around_is_that_one():
    found = jax.vmap(lambda x: bind_axes(lambda: both(x)), axis_name="rows")(X)
    assert (found["sum"] == X.mean(0)).all()
    assert found["at"].tolist() == [0, 1, 2]


def test_it_runs_once_where_no_axis_is_missing_and_has_gradients_where_one_is():
    runs = []
    bind_axes(lambda: runs.append(1))
    assert runs == [1]
    slope = jax.grad(lambda x: bind_axes(lambda: jax.lax.psum(jnp.sin(x), "rows")))(0.0)
    assert float(slope) == 1.0


def test_other_unknown_names_are_errors():
    with pytest.raises(NameError, match="is not defined"):
        bind_axes(lambda: no_such_name)  # noqa: F821
    assert unbound_axis(NameError("name 'rows' is not defined")) is None


def test_jax_names_the_axis_in_the_words_of_its_error():
    with pytest.raises(NameError) as caught:
        jax.lax.psum(X, "rows")
    assert unbound_axis(caught.value) == "rows"
