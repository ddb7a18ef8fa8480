"""Arrays that no machine can address, or that this one has no room for, are refused (S3)."""

import jax
import jax.numpy as jnp
import pytest

from flaxlayer_core import BuildModuleError
from flaxlayer_core.size_bounds import SizeBound, count_bytes, refuse_unaddressable

pytestmark = pytest.mark.law("S3")


def described(*shape, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def bound(total=1000, free=500):
    return SizeBound("The layer", lambda: total, lambda: free)


def test_bytes_are_elements_times_their_size():
    assert count_bytes(described(3, 4)) == 48
    assert count_bytes(described(3, 4, dtype=jnp.int8)) == 12
    assert count_bytes(described()) == 4
    assert count_bytes(described(3, 5, dtype=jnp.bfloat16)) == 30
    assert count_bytes(described(0, 10**30)) == 0
    assert count_bytes(described(2**40, 2**30, dtype=jnp.bool_)) == 2**70


def test_an_unknown_dimension_counts_as_one():
    batch, _ = jax.export.symbolic_shape("batch, 3")
    assert count_bytes(described(batch, 5)) == 20


@pytest.mark.parametrize(
    "shape", [(2**61,), (2**63,), (10**10,) * 40], ids=["bytes", "all", "huge"]
)
def test_what_no_machine_addresses_is_refused_in_a_short_message(shape):
    with pytest.raises(BuildModuleError, match="no machine can address") as caught:
        refuse_unaddressable([described(2), described(*shape)], title="The layer")
    assert len(str(caught.value)) < 600


def test_the_largest_that_can_be_addressed_is_not_refused():
    refuse_unaddressable([described(2**63 - 1, dtype=jnp.int8)], title="The layer")


def test_what_is_only_described_is_held_against_the_machine():
    bound().check_described([described(125), described(125)])
    with pytest.raises(BuildModuleError, match="that this machine has"):
        bound().check_described([described(125), described(126)])


def test_what_is_made_needs_room_for_the_largest_while_it_is_drawn():
    bound().check_made([described(25)])  # five times 100 bytes
    with pytest.raises(BuildModuleError, match="that are free"):
        bound().check_made([described(26)])
    bound().check_made([described(62)], drawn=False)
    with pytest.raises(BuildModuleError, match="504 bytes"):
        bound().check_made([described(63)], drawn=False)


def test_what_is_made_on_the_way_counts_once():
    bound().check_made([described(1)], [described(31)])
    bound().check_made([described(25)], [described(25), described(25)])
    with pytest.raises(BuildModuleError, match="that are free"):
        bound().check_made([described(1)], [described(125)])


def test_a_single_array_of_a_program_may_be_many_times_the_machine():
    bound().check_program([described(4000), described(4000)])
    with pytest.raises(BuildModuleError, match="a single array"):
        bound().check_program([described(4001)])
