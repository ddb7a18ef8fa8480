"""From input shapes to what is stored (B1, C6)."""

import contextlib
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from flaxlayer_core import (
    BuildModuleError,
    CallArgumentError,
    infer_build_spec,
)
from flaxlayer_core.jaxprs.traced import TracedFunction
from flaxlayer_core.size_bounds import count_bytes


class Cnn(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.BatchNorm(use_running_average=not train)(nn.Conv(2, (3, 3))(x))
        return nn.Dense(2)(nn.Dropout(0.5, deterministic=not train)(x.mean((1, 2))))


class PythonSizes(nn.Module):
    """Does with its sizes what symbols cannot."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(x) / math.sqrt(int(x.shape[1]))


class PythonSizedParam(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x * self.param("scale", nn.initializers.ones, (int(x.shape[1]), 1))


class Halves(nn.Module):
    """Takes a length that four divides, and no more than 40."""

    @nn.compact
    def __call__(self, x):
        length = int(x.shape[1])
        assert length % 4 == 0
        assert length <= 40
        return nn.Dense(2)(x.reshape(-1, 4))


class Flattens(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(x.reshape(x.shape[0], -1))


class Carries(nn.Module):
    """Keeps a value for each example of the batch."""

    @nn.compact
    def __call__(self, x):
        carry = self.variable("carry", "h", lambda: jnp.zeros((x.shape[0], 2)))
        carry.value = carry.value + nn.Dense(2)(x)
        return carry.value


class Branches(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2, name="positive" if x.sum() > 0 else "negative")(x)


class Dtypes(nn.Module):
    """One variable of each kind."""

    @nn.compact
    def __call__(self, x):
        for dtype in ("bfloat16", "float16", "complex64", "int8", "bool"):
            self.param(dtype, lambda _, d=dtype: jnp.ones(2, d))
        self.variable("keys", "one", lambda: self.make_rng("params"))
        self.variable("keys", "many", lambda: jax.random.split(self.make_rng("params"), 3))
        return x


class TwoInputs(nn.Module):
    @nn.compact
    def __call__(self, x, y):
        return x + y


def build_spec(module_call, module, *args, values=None, **settings):
    asked, specs = module_call(module, *args, **settings)
    return asked, infer_build_spec(asked, specs, values=values)[0]


def layout_text(found):
    return {"/".join(spec.path): str(spec) for spec in found.spec.layout.specs}


@pytest.mark.law("B1")
def test_a_module_of_petabytes_is_examined(module_call, spec):
    _, found = build_spec(module_call, nn.Dense(10**9), spec(None, 10**6))
    assert count_bytes(found.spec.layout.specs[1]) == 4 * 10**15


@pytest.mark.law("B1")
def test_no_array_is_left_behind_by_an_examination(module_call, spec):
    before = jax.live_arrays()
    kept = build_spec(module_call, Cnn(), spec(None, 8, 8, 3))
    known = set(map(id, before))
    assert [array for array in jax.live_arrays() if id(array) not in known] == []
    del kept


@pytest.mark.law("B1")
def test_nothing_is_computed_in_an_examination(module_call, spec):
    def initializer(key, shape, dtype=jnp.float32):
        assert isinstance(key, jax.core.Tracer)
        return jnp.zeros(shape, dtype)

    build_spec(module_call, nn.Dense(2, kernel_init=initializer), spec(None, 3))
    build_spec(module_call, nn.Dense(2, kernel_init=initializer), spec(2, 3))


@pytest.mark.law("B1")
@pytest.mark.parametrize("dtype", ["int32", "uint8", "int16"])
def test_inputs_have_their_true_dtype(module_call, spec, dtype):
    # nn.Embed refuses what is no integer.
    _, found = build_spec(module_call, nn.Embed(5, 3), spec(None, None, dtype=dtype))
    assert [array.dtype.name for array in found.inputs.arrays] == [dtype]


@pytest.mark.law("B1")
@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Dense(2), (None, 3)),
        (nn.Conv(2, (3, 3)), (None, None, None, 3)),
        (nn.MultiHeadDotProductAttention(2), (None, None, 4)),
        (nn.RNN(nn.LSTMCell(3)), (None, None, 4)),
        (nn.LayerNorm(), (None, None, 4)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_unknown_dimensions_are_symbolic_where_flax_allows(module_call, spec, module, shape):
    _, found = build_spec(module_call, module, spec(*shape))
    assert found.inputs.resized == ()
    known = [3 if dim is None else dim for dim in shape]
    raw = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(known)))
    expected = [(leaf.shape, leaf.dtype) for leaf in jax.tree_util.tree_leaves(raw)]
    assert [(s.shape, s.dtype) for s in found.spec.layout.specs] == expected


@pytest.mark.law("B1")
@pytest.mark.parametrize(
    "module", [PythonSizes(), Halves()], ids=lambda module: type(module).__name__
)
def test_unknown_dimensions_are_filled_in_where_symbols_fail(module_call, spec, module):
    _, found = build_spec(module_call, module, spec(None, None, 4))
    assert layout_text(found) == {
        "params/Dense_0/bias": "float32[2]",
        "params/Dense_0/kernel": "float32[4,2]",
    }


# In JAX 0.12 random numbers have no symbolic shape, and the build fills dimensions in.
SYMBOLIC = jax.__version_info__ < (0, 12)


@pytest.mark.law("B1")
def test_a_param_that_depends_on_an_unknown_dimension_is_explained(module_call, spec):
    with pytest.raises(BuildModuleError) as caught:
        build_spec(module_call, Flattens(), spec(None, None, 4))
    assert str(caught.value).splitlines() == [
        "Layer 'it' (module Flattens) cannot be built: the shape of 'params/Dense_0/kernel' "
        "depends on the unknown dimension of axis 1.",
        "Expected: stored variables whose shapes follow from the known dimensions",
        "Found: float32[4*dim1,2]"
        if SYMBOLIC
        else "Found: float32[128,2] for one size, float32[256,2] for another",
        "Fix: Give that dimension: keras.Input(batch_shape=...), or call the layer on real data.",
        "Law: B1",
    ]


@pytest.mark.law("B1")
def test_a_param_that_depends_on_a_filled_in_dimension_names_it(module_call, spec):
    with pytest.raises(BuildModuleError, match=r"'params/scale' depends on .* of axis 1\."):
        build_spec(module_call, PythonSizedParam(), spec(None, None, 4))


@pytest.mark.law("B5")
@pytest.mark.parametrize("prepare", [True, False])
def test_initialisers_compile_meanwhile_unless_they_will_be_compiled_as_a_whole(
    module_call, spec, prepare, monkeypatch
):
    prepared = []
    monkeypatch.setattr(TracedFunction, "prepare", lambda self: prepared.append(self))
    asked, specs = module_call(nn.Dense(2), spec(None, 3))
    infer_build_spec(asked, specs, prepare=prepare)
    assert bool(prepared) == prepare


@pytest.mark.law("B1")
def test_a_param_that_depends_on_a_known_dimension_is_built(module_call, spec):
    _, found = build_spec(module_call, PythonSizedParam(), spec(None, 5, 4))
    assert layout_text(found) == {"params/scale": "float32[5,1]"}


@pytest.mark.law("B1")
def test_state_that_depends_on_the_batch_names_it(module_call, spec):
    with pytest.raises(BuildModuleError) as caught:
        build_spec(module_call, Carries(), spec(None, 3))
    failed, _, found, *_ = str(caught.value).splitlines()
    assert failed.endswith("the shape of 'carry/h' depends on the batch dimension (axis 0).")
    assert found == "Found: float32[batch,2]"


@pytest.mark.law("B1")
def test_a_decoding_cache_for_an_unknown_batch_names_it(module_call, spec):
    with pytest.raises(BuildModuleError, match=r"'cache/\w+' depends on the batch dimension"):
        build_spec(module_call, nn.MultiHeadDotProductAttention(2, decode=True), spec(None, 1, 4))


@pytest.mark.law("B1")
def test_inputs_that_the_module_does_not_take_are_explained(module_call, spec):
    with pytest.raises(BuildModuleError) as caught:
        build_spec(module_call, nn.Embed(5, 3), spec(None, 3))
    failed, *rest = str(caught.value).splitlines()
    assert failed.startswith("Layer 'it' (module Embed) cannot be evaluated: ValueError: ")
    assert "Found: float32[?,3]" in rest


@pytest.mark.law("A2")
def test_a_missing_argument_is_no_failure_of_the_module(module_call, spec):
    with pytest.raises(CallArgumentError, match="missing a required argument"):
        build_spec(module_call, TwoInputs(), spec(2, 3))


@pytest.mark.law("B1")
def test_a_module_that_branches_on_values_is_evaluated_on_ones(module_call, spec):
    _, found = build_spec(module_call, Branches(), spec(None, 3))
    assert not found.spec.traceable
    assert set(layout_text(found)) == {"params/positive/kernel", "params/positive/bias"}


@pytest.mark.law("B1")
def test_a_module_that_branches_on_values_is_evaluated_on_those_at_hand(module_call):
    x = -jnp.ones((2, 3))
    _, found = build_spec(module_call, Branches(), x, values=[x])
    assert set(layout_text(found)) == {"params/negative/kernel", "params/negative/bias"}


@pytest.mark.law("B1")
def test_a_module_that_branches_on_traced_values_is_an_error(module_call):
    with pytest.raises(BuildModuleError, match="TracerBoolConversionError"):
        jax.eval_shape(
            lambda x: build_spec(module_call, Branches(), x, values=[x]) and x, jnp.ones((2, 3))
        )


@pytest.mark.law("C6")
def test_variables_of_any_dtype_are_described(module_call, spec):
    with jax.default_prng_impl("threefry2x32"):
        _, found = build_spec(module_call, Dtypes(), spec(None, 3))
    assert layout_text(found) == {
        "keys/many": "uint32[3,2]",
        "keys/one": "uint32[2]",
        "params/bfloat16": "bfloat16[2]",
        "params/bool": "bool[2]",
        "params/complex64": "complex64[2]",
        "params/float16": "float16[2]",
        "params/int8": "int8[2]",
    }


@pytest.mark.law("B6")
@pytest.mark.parametrize("shape", [(None, 3), (None, None, 3), (2, 3)], ids=str)
@pytest.mark.parametrize("in_init", [True, False])
@pytest.mark.parametrize("applied", [True, False])
def test_no_init_runs_twice_on_the_same_inputs(module_call, spec, shape, in_init, applied):
    inits = []

    class Refuses(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            if self.is_initializing():
                inits.append(f"{train} {x.shape}")
            x = nn.Dense(2)(x)
            if in_init or not self.is_initializing():
                raise RuntimeError("it takes no such inputs")
            return x

    call, specs = module_call(Refuses(), spec(*shape))
    may_fail = pytest.raises(BuildModuleError, match="it takes no such inputs")
    with may_fail if applied or in_init else contextlib.nullcontext():
        infer_build_spec(call, specs, applied=applied, refusable=frozenset({True, False}))
    assert len(set(inits)) == len(inits) > 0
