"""What the first process asks for, the others give; alone it asks itself (D3)."""

import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer.processes.gathering import gather, largest, lead, serve


@pytest.mark.law("D3")
def test_a_whole_array_is_itself():
    np.testing.assert_array_equal(gather(jnp.arange(6).reshape(2, 3)), np.arange(6).reshape(2, 3))


@pytest.mark.law("D3")
def test_of_one_number_it_is_the_largest():
    assert largest(-7) == -7


@pytest.mark.law("D3")
def test_arrays_are_given_in_the_order_that_they_are_asked_for():
    seen = []
    arrays = [jnp.zeros(2), jnp.ones(3)]
    lead(arrays, lambda whole: seen.extend([whole(1), whole(0), whole(1)]))
    assert [array.tolist() for array in seen] == [[1, 1, 1], [0, 0], [1, 1, 1]]


@pytest.mark.law("D3")
def test_what_stops_the_first_process_is_its_own_error():
    with pytest.raises(KeyboardInterrupt):
        lead([], lambda whole: (_ for _ in ()).throw(KeyboardInterrupt))


@pytest.mark.law("D3")
def test_one_who_serves_alone_hears_of_no_end():
    assert not serve([])
