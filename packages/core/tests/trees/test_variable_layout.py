"""Variables are described one by one, and put back into their tree (C1, C6)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core import (
    OVERWRITE_WITH_GRADIENT,
    Role,
    VariableLayout,
    VariableSpec,
)


@pytest.mark.law("C1")
def test_a_collection_that_was_never_seen_is_transient():
    assert VariableLayout.from_variables({}, {"params": Role.TRAINABLE}).role("new") == "transient"


@pytest.mark.law("C1")
def test_a_layout_names_the_collections_that_it_does_not_store():
    seen = {"params": Role.TRAINABLE, "losses": Role.TRANSIENT}
    assert VariableLayout.from_variables({"params": {}}, seen).transient == {"losses"}


DTYPES = [
    "bfloat16",
    "float16",
    "float32",
    "complex64",
    "int8",
    "int32",
    "uint32",
    "bool",
    "float8_e4m3fn",
]


@pytest.mark.law("C6")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("abstract", [False, True], ids=["array", "abstract"])
def test_a_variable_is_described_in_the_dtype_that_the_module_gave_it(dtype, abstract):
    leaf = jnp.zeros((2, 3), dtype)
    leaf = jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if abstract else leaf
    spec = VariableSpec.from_leaf(("params", "w"), leaf)
    assert (spec.shape, spec.dtype, spec.key_impl) == ((2, 3), jnp.dtype(dtype), None)
    assert str(spec) == f"{dtype}[2,3]"


@pytest.mark.law("C6")
def test_64_bit_variables_stay_64_bit(enable_x64):
    with enable_x64(True):
        spec = VariableSpec.from_leaf(("a",), jnp.zeros(2, "float64"))
        assert spec.dtype == np.float64


@pytest.mark.law("C6")
@pytest.mark.parametrize("dtype", DTYPES)
def test_only_floating_and_complex_variables_have_a_gradient(dtype):
    spec = VariableSpec(("params", "w"), (2,), jnp.dtype(dtype))
    assert spec.differentiable == (dtype not in ("int8", "int32", "uint32", "bool"))


@pytest.mark.law("C6")
@pytest.mark.parametrize(("implementation", "words"), [("threefry2x32", 2), ("rbg", 4)])
@pytest.mark.parametrize("abstract", [False, True], ids=["array", "abstract"])
def test_typed_keys_are_described_as_their_key_data(implementation, words, abstract):
    keys = jax.random.split(jax.random.key(0, impl=implementation), 3)
    leaf = jax.eval_shape(lambda: keys) if abstract else keys
    spec = VariableSpec.from_leaf(("noise", "key"), leaf)
    assert (str(spec), spec.key_impl) == (f"uint32[3,{words}]", implementation)
    assert not spec.differentiable


@pytest.mark.law("C6")
@pytest.mark.parametrize("implementation", ["threefry2x32", "rbg"])
def test_typed_keys_are_stored_as_words_and_restored_as_keys(implementation):
    key = jax.random.key(5, impl=implementation)
    spec = VariableSpec.from_leaf(("noise", "key"), key)
    stored = spec.store(key)
    restored = jax.jit(spec.restore)(stored)
    assert stored.dtype == jnp.uint32
    assert restored.dtype == key.dtype
    assert jax.random.bits(restored) == jax.random.bits(key)


@pytest.mark.law("C6")
def test_typed_keys_do_not_depend_on_the_default_implementation():
    key = jax.random.key(5, impl="threefry2x32")
    with jax.default_prng_impl("rbg"):
        spec = VariableSpec.from_leaf(("noise", "key"), key)
        assert spec.restore(spec.store(key)) == key


@pytest.mark.law("C6")
def test_what_is_no_typed_key_is_stored_as_it_is():
    leaf = jax.random.key_data(jax.random.key(0))
    spec = VariableSpec.from_leaf(("noise", "legacy"), leaf)
    assert spec.key_impl is None
    assert spec.store(leaf) is leaf
    assert spec.restore(leaf) is leaf


@pytest.mark.law("C6")
def test_a_layout_restores_typed_keys_in_their_boxes():
    key = jax.random.key(1)
    tree = {"noise": {"key": nn.Partitioned(key, ("t",))}}
    layout = VariableLayout.from_variables(tree, {})
    restored = layout.unflatten([jax.random.key_data(key)])["noise"]["key"]
    assert restored.names == ("t",)
    assert restored.value == key


@pytest.mark.law("C2")
def test_an_optimizer_moves_what_is_trainable_and_not_overwritten():
    roles = {"params": Role.TRAINABLE, OVERWRITE_WITH_GRADIENT: Role.TRAINABLE, "n": Role.STATE}
    layout = VariableLayout.from_variables({name: {"a": jnp.ones(2)} for name in roles}, roles)
    assert {s.path[0]: layout.optimizes(s) for s in layout.specs} == {
        "params": True,
        OVERWRITE_WITH_GRADIENT: False,
        "n": False,
    }
