"""Tensors of any kind reach the module as JAX has them, in one memory (K3, A10)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from flaxlayer import FlaxLayer
from flaxlayer.backends.torch.torch_tensors import describe, prepared, to_jax, to_tensors, view
from flaxlayer_core import CallArgumentError, LowerModuleError

pytestmark = pytest.mark.law("K3")

SEEN = []


class Twice(nn.Module):
    """Remembers what it was traced with."""

    @nn.compact
    def __call__(self, x):
        SEEN.append((x.shape, x.dtype.name))
        return x if x.dtype == bool else x + x


FLOATS = torch.arange(12, dtype=torch.float32).reshape(3, 4)
TENSORS = {
    "transposed": FLOATS.t(),
    "strided": FLOATS[:, ::2],
    "not aligned": FLOATS[:, 1:],
    "expanded": FLOATS[:1].expand(5, 4),
    "negative": torch.flip(FLOATS, (0,)),
    "empty": FLOATS[:0],
    "scalar": torch.tensor(3.0),
    "channels last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "bool": FLOATS > 3,
    "int32": FLOATS.int(),
    "int8": FLOATS.to(torch.int8),
    "uint8": FLOATS.to(torch.uint8),
    "uint32": torch.tensor([1, 2**31 + 5]).to(torch.uint32),
    "float16": FLOATS.half(),
    "bfloat16": FLOATS.bfloat16(),
    "bfloat16 scalar": torch.tensor(2.5, dtype=torch.bfloat16),
    "complex": torch.complex(FLOATS, -FLOATS),
    "conjugate": torch.complex(FLOATS, FLOATS).conj(),
    "imaginary": torch.complex(FLOATS, FLOATS).conj().imag,
}


def as_numpy(tensor):
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        return tensor.float().numpy().astype(jnp.bfloat16)
    return tensor.numpy()


@pytest.mark.parametrize("grad", [False, True], ids=["plain", "grad"])
@pytest.mark.parametrize("name", TENSORS)
def test_the_module_sees_values_and_dtype_and_gives_them_back(name, grad):
    tensor = TENSORS[name]
    if grad and (tensor.is_floating_point() or tensor.is_complex()):
        tensor = tensor.detach().clone().requires_grad_() if tensor.is_leaf else tensor
    SEEN.clear()
    found = FlaxLayer(Twice())(tensor)
    expected = as_numpy(tensor)
    assert set(SEEN) == {(expected.shape, expected.dtype.name)}
    doubled = expected if expected.dtype == bool else expected + expected
    np.testing.assert_array_equal(as_numpy(found), doubled)
    assert as_numpy(found).dtype == expected.dtype


@pytest.mark.parametrize(
    ("dtype", "name"),
    [(torch.int64, "int32"), (torch.float64, "float32"), (torch.complex128, "complex64")],
    ids=str,
)
def test_64_bits_are_those_of_jax(dtype, name, enable_x64):
    tensor = FLOATS.to(dtype)
    assert describe(tensor).dtype.name == name
    assert FlaxLayer(Twice())(tensor).dtype == getattr(torch, name)
    with enable_x64(True):
        assert FlaxLayer(Twice())(tensor).dtype == dtype


def test_a_plain_tensor_is_not_copied_either_way():
    tensor = torch.zeros(64)
    array = view(prepared(tensor))
    assert array.unsafe_buffer_pointer() == tensor.data_ptr()
    made = jnp.arange(64.0) + 1
    (back,) = to_tensors([made], "test")
    assert back.data_ptr() == made.unsafe_buffer_pointer()


def test_a_value_for_jax_keeps_what_it_was_when_torch_writes():
    tensor = torch.zeros(64)
    array = to_jax(tensor)
    tensor.fill_(1)
    np.testing.assert_array_equal(array, np.zeros(64, np.float32))


@pytest.mark.law("A1")
@pytest.mark.parametrize(
    "tensor",
    [FLOATS.to_sparse(), torch.nested.nested_tensor([FLOATS], layout=torch.jagged)],
    ids=["sparse", "nested"],
)
def test_what_jax_cannot_read_is_refused_by_name(tensor):
    with pytest.raises(CallArgumentError, match="JAX cannot read"):
        describe(tensor)


class Odd(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x.astype(jnp.int4)


@pytest.mark.law("K4")
def test_a_dtype_that_torch_lacks_is_named():
    with pytest.raises(LowerModuleError, match="int4"):
        FlaxLayer(Odd())(torch.ones(3))


def test_random_keys_are_arguments():
    class Draws(nn.Module):
        @nn.compact
        def __call__(self, x, key):
            return x + jax.random.uniform(key, x.shape)

    key = jax.random.key(7)
    found = FlaxLayer(Draws())(torch.zeros(5), key)
    np.testing.assert_allclose(as_numpy(found), jax.random.uniform(key, (5,)), rtol=1e-6)
    raw = FlaxLayer(Draws())(torch.zeros(5), jax.random.PRNGKey(7))
    np.testing.assert_allclose(as_numpy(raw), as_numpy(found), rtol=1e-6)
