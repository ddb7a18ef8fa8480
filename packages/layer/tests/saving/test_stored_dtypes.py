"""Dtypes that files name: those of numbers alone, and no expression for NumPy to parse."""

import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer.saving.stored_dtypes import is_numeric, named_dtype

NUMERIC = ["bool", "int8", "uint64", "float16", "float64", "complex128", "bfloat16", "int4"]


@pytest.mark.law("S3")
@pytest.mark.parametrize("name", [*NUMERIC, "float8_e4m3fn"])
def test_a_dtype_of_numbers_is_found_by_its_name(name):
    found = named_dtype(name)
    assert found == jnp.dtype(name)
    assert is_numeric(found)


@pytest.mark.law("S3")
@pytest.mark.parametrize(
    "name",
    [
        "object",
        "str",
        "datetime64",
        "void",
        "f4,f4",
        "(2,)f4",
        "1e999",
        ">f4",
        "",
        "no",
        None,
        7,
        [],
    ],
    ids=repr,
)
def test_anything_else_has_none(name):
    assert named_dtype(name) is None


@pytest.mark.law("S3")
def test_a_long_name_is_not_looked_up(monkeypatch):
    monkeypatch.setattr(jnp, "dtype", lambda name: pytest.fail("looked up"))
    assert named_dtype("a" * 1_000) is None
    assert named_dtype("1," * 1_000) is None


def test_dates_and_texts_are_no_numbers():
    assert not any(is_numeric(np.dtype(name)) for name in ("O", "S3", "U3", "M8[s]", "m8[s]"))
