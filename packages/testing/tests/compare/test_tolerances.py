import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_testing import TOLERANCES, FindToleranceError, Tolerance, tolerance_for
from flaxlayer_testing.compare.tolerances import across_compilers


@pytest.mark.parametrize(
    ("dtype", "rtol", "atol"),
    [
        ("float64", 16 * 2.0**-52, 64 * 2.0**-52),
        ("float32", 16 * 2.0**-23, 64 * 2.0**-23),
        ("complex64", 16 * 2.0**-23, 64 * 2.0**-23),
        ("complex128", 16 * 2.0**-52, 64 * 2.0**-52),
        ("float16", 4 * 2.0**-10, 4 * 2.0**-10),
        ("bfloat16", 4 * 2.0**-7, 4 * 2.0**-7),
    ],
)
def test_the_table_is_what_its_derivation_says(dtype, rtol, atol):
    assert TOLERANCES[dtype] == Tolerance(rtol, atol)
    assert tolerance_for(jnp.dtype(dtype)) == Tolerance(rtol, atol)


def test_the_table_has_no_other_entry():
    assert len(TOLERANCES) == 6


@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "uint32", np.int64])
def test_integers_and_booleans_are_exact(dtype):
    assert tolerance_for(dtype) == Tolerance(0.0, 0.0)


def test_a_dtype_without_an_entry_is_named():
    with pytest.raises(FindToleranceError, match="no tolerance for float8_e4m3fn"):
        tolerance_for("float8_e4m3fn")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_sums_in_two_orders_are_within_the_table(dtype):
    terms = np.random.default_rng(0).standard_normal((500, 64)).astype(jnp.dtype(dtype))
    wide = terms.astype(np.float32)
    forward = np.add.accumulate(wide, axis=1)[:, -1].astype(jnp.dtype(dtype)).astype(float)
    backward = (
        np.add.accumulate(wide[:, ::-1], axis=1)[:, -1].astype(jnp.dtype(dtype)).astype(float)
    )
    table = TOLERANCES[dtype]
    assert (abs(forward - backward) <= table.atol + table.rtol * abs(forward)).all()


@pytest.mark.law("T4")
def test_across_compilers_the_coarsest_dtype_that_takes_part_counts():
    alone = across_compilers({"float32", "int32"})
    assert alone["float32"] == alone["float64"] == TOLERANCES["float32"]
    assert alone["float16"] == TOLERANCES["float16"]
    beside = across_compilers({"float32", "bfloat16"})
    assert beside["float32"] == beside["float16"] == TOLERANCES["bfloat16"]
    assert across_compilers({"float16"})["bfloat16"] == TOLERANCES["bfloat16"]
