"""Initial values: exactly those of raw init (B2, B3, C6)."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flaxlayer_core import infer_build_spec, init_rngs, initial_variables

SEED = 11


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


class DataInit(nn.Module):
    """Centers by the mean of the inputs that it was initialised with."""

    @nn.compact
    def __call__(self, x):
        return x - self.variable("norm", "mean", lambda: x.mean(0)).value


class Branches(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2, name="positive" if x.sum() > 0 else "negative")(x)


class Inference(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(4, name="body")(x)
        return x if train else nn.Dense(2, name="head")(x)


class DrawsForInference(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        if train:
            return x
        draw = lambda: jax.random.normal(self.make_rng("basis"), (3,))  # noqa: E731
        return x + self.variable("basis", "w", draw).value.sum()


class Dtypes(nn.Module):
    """One variable of each kind."""

    @nn.compact
    def __call__(self, x):
        for dtype in ("bfloat16", "float16", "complex64", "int8", "bool"):
            self.param(dtype, lambda _, d=dtype: jnp.ones(2, d))
        self.variable("keys", "one", lambda: self.make_rng("params"))
        self.variable("keys", "many", lambda: jax.random.split(self.make_rng("params"), 3))
        return x


class Counts(nn.Module):
    @nn.compact
    def __call__(self, x):
        count = self.variable("count", "n", lambda: 0)
        count.value += 1
        return x


def initialized(module_call, module, *args, values=None, seed=SEED, **settings):
    asked, specs = module_call(module, *args, **settings)
    found, trace = infer_build_spec(asked, specs, values=values)
    return initial_variables(found, seed, trace=trace, values=values)


def raw_init(module, x, streams=("params",), seed=SEED, **kwargs):
    return dict(module.init(init_rngs(seed, streams), x, **kwargs))


def bits(leaf):
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf).dtype, np.asarray(leaf).shape, np.asarray(leaf).tobytes()


def assert_same_bits(ours, theirs):
    assert jax.tree_util.tree_structure(ours) == jax.tree_util.tree_structure(theirs)
    left, right = jax.tree_util.tree_leaves(ours), jax.tree_util.tree_leaves(theirs)
    assert list(map(bits, left)) == list(map(bits, right))


@pytest.mark.law("C6")
@pytest.mark.parametrize("implementation", ["threefry2x32", "rbg"])
def test_variables_of_any_dtype_have_the_values_of_raw_init(module_call, spec, implementation):
    with jax.default_prng_impl(implementation):
        ours = initialized(module_call, Dtypes(), spec(None, 3))
        assert_same_bits(ours, raw_init(Dtypes(), jnp.ones((2, 3))))


INITIALIZED = {
    "dense": (nn.Dense(2), (4, 3), ("params",), {}),
    "convolution": (Cnn(), (2, 4, 4, 1), ("dropout", "params"), {"train": True}),
    "attention": (nn.MultiHeadDotProductAttention(2), (2, 1, 4), ("params",), {}),
    "recurrent": (nn.RNN(nn.SimpleCell(3)), (2, 2, 3), ("params",), {}),
    "partitioned": (
        nn.Dense(2, kernel_init=nn.with_partitioning(nn.initializers.normal(), ("a", "b"))),
        (4, 3),
        ("params",),
        {},
    ),
    "logical": (
        nn.Dense(2, kernel_init=nn.with_logical_partitioning(nn.initializers.normal(), ("a", "b"))),
        (4, 3),
        ("params",),
        {},
    ),
    "python sizes": (PythonSizes(), (4, 5, 3), ("params",), {}),
    "no variables": (nn.Dropout(0.5), (4, 3), ("dropout", "params"), {"deterministic": False}),
}


@pytest.mark.law("B2")
@pytest.mark.parametrize("case", INITIALIZED)
def test_initial_values_are_bitwise_those_of_raw_init(module_call, spec, case):
    module, shape, streams, flags = INITIALIZED[case]
    ours = initialized(module_call, module, spec(None, *shape[1:]))
    assert_same_bits(ours, raw_init(module, jnp.ones(shape), streams, **flags))


@pytest.mark.law("B2")
@pytest.mark.parametrize("case", ["dense", "partitioned", "python sizes", "no variables"])
def test_initial_values_for_known_sizes_are_bitwise_those_of_raw_init(module_call, spec, case):
    module, shape, streams, flags = INITIALIZED[case]
    ours = initialized(module_call, module, spec(*shape))
    assert_same_bits(ours, raw_init(module, jnp.ones(shape), streams, **flags))


@pytest.mark.law("B2")
def test_initial_values_are_of_the_key_implementation_at_the_time(module_call, spec):
    with jax.default_prng_impl("threefry2x32"):
        asked, specs = module_call(nn.Dense(2), spec(4, 3))
        found, trace = infer_build_spec(asked, specs)
    with jax.default_prng_impl("rbg"):
        ours = initial_variables(found, SEED, trace=trace)
        assert_same_bits(ours, raw_init(nn.Dense(2), jnp.ones((4, 3))))


@pytest.mark.law("B2")
def test_another_seed_gives_other_values(module_call, spec):
    one, two = (initialized(module_call, nn.Dense(2), spec(4, 3), seed=seed) for seed in (1, 2))
    assert not jnp.array_equal(one["params"]["kernel"], two["params"]["kernel"])


@pytest.mark.law("B2")
def test_a_value_that_depends_on_the_inputs_comes_from_those_at_hand(module_call):
    x = jnp.arange(12.0).reshape(4, 3)
    ours = initialized(module_call, DataInit(), x, values=[x])
    assert ours["norm"]["mean"].tolist() == np.arange(12).reshape(4, 3).mean(0).tolist()


@pytest.mark.law("B2")
@pytest.mark.parametrize("unknown", [False, True])
def test_a_value_that_depends_on_the_inputs_comes_from_ones_where_none_are(
    module_call, spec, unknown
):
    ours = initialized(module_call, DataInit(), spec(None if unknown else 4, 3))
    assert ours["norm"]["mean"].tolist() == [1, 1, 1]


@pytest.mark.law("B2")
def test_a_module_that_branches_on_values_has_the_values_of_raw_init(module_call):
    x = -jnp.ones((2, 3))
    ours = initialized(module_call, Branches(), x, values=[x])
    assert_same_bits(ours, raw_init(Branches(), x))


@pytest.mark.law("B2")
def test_a_variable_that_only_inference_makes_comes_from_an_init_with_the_flag_off(
    module_call, spec
):
    ours = initialized(module_call, Inference(), spec(None, 3))
    x = jnp.ones((2, 3))
    trained = raw_init(Inference(), x, train=True)["params"]
    inferred = raw_init(Inference(), x, train=False)["params"]
    assert_same_bits(ours, {"params": {"body": trained["body"], "head": inferred["head"]}})


@pytest.mark.law("B2")
def test_a_variable_of_both_modes_comes_from_an_init_with_the_flag_on(module_call, spec):
    class Flagged(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            self.variable("state", "train", lambda: jnp.full((), train))
            return x if train else nn.Dense(2, name="head")(x)

    ours = initialized(module_call, Flagged(), spec(None, 3))
    assert ours["state"]["train"].item() is True
    assert set(ours["params"]) == {"head"}


@pytest.mark.law("B2")
def test_an_init_with_the_flag_off_has_streams_of_its_own(module_call, spec):
    ours = initialized(module_call, DrawsForInference(), spec(None, 3))
    raw = raw_init(DrawsForInference(), jnp.ones((2, 3)), ("basis", "params"), train=False)
    assert_same_bits(ours, raw)


@pytest.mark.law("B2")
def test_a_python_number_is_a_value(module_call, spec):
    assert initialized(module_call, Counts(), spec(None, 3)) == {"count": {"n": 1}}


@pytest.mark.law("B2")
def test_a_sown_value_is_no_initial_value(module_call, spec):
    class Sows(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.sow("losses", "l2", x.sum())
            return nn.Dense(2)(x)

    assert set(initialized(module_call, Sows(), spec(None, 3))) == {"params"}


@pytest.mark.law("B3")
@pytest.mark.parametrize("transform", [jax.jit, lambda f: lambda x: jax.eval_shape(f, x), jax.grad])
@pytest.mark.parametrize(
    "module", [nn.Dense(2), DataInit(), Inference()], ids=lambda module: type(module).__name__
)
def test_values_are_values_inside_a_trace_too(module_call, spec, module, transform):
    made = []

    def function(x):
        made.append(initialized(module_call, module, spec(4, 3)))
        return x

    transform(function)(1.0)
    leaves = jax.tree_util.tree_leaves(made[0])
    assert leaves
    assert not any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
    assert_same_bits(made[0], initialized(module_call, module, spec(4, 3)))


class Doubled(nn.Module):
    """Its initialisers compute numbers at the sizes of the module, in a body that is repeated."""

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(4, param_dtype=jnp.bfloat16)(x)
        x = nn.WeightNorm(nn.Dense(5, kernel_init=nn.initializers.glorot_uniform()))(x)
        x = nn.WeightNorm(nn.Dense(3))(x)
        return nn.Dense(3, kernel_init=nn.initializers.orthogonal())(x)


class Stepped(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return Doubled()(x), None


def repeated_twice(name):
    axes = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
    if name == "remat_scan":
        return nn.remat_scan(Doubled, lengths=(2, 2))()
    if name == "vmap":
        return nn.vmap(Doubled, in_axes=None, axis_size=2, **axes)()
    if name == "scan":
        return nn.scan(Stepped, length=2, **axes)()
    return {"remat": nn.remat, "jit": nn.jit}[name](Doubled)()


class Lifted(nn.Module):
    name_of_lift: str

    @nn.compact
    def __call__(self, x):
        lifted = repeated_twice(self.name_of_lift)
        return lifted(x, None) if self.name_of_lift == "scan" else lifted(x)


@pytest.mark.law("B2", "B3")
@pytest.mark.parametrize(
    "lift", [pytest.param("remat_scan", marks=pytest.mark.slow), "scan", "vmap", "remat", "jit"]
)
def test_what_is_traced_inside_a_trace_has_the_bits_of_raw_init(module_call, spec, lift):
    asked, specs = module_call(Lifted(lift), spec(None, 3))
    made = []

    def function(x):
        build_spec, _ = infer_build_spec(asked, specs)
        made.extend(initial_variables(build_spec, seed) for seed in range(3))
        return x

    jax.eval_shape(function, 1.0)
    for seed, values in enumerate(made):
        assert_same_bits(values, raw_init(Lifted(lift), jnp.ones((5, 3)), seed=seed))


@pytest.mark.law("B2")
@pytest.mark.parametrize("needs_size", [False, True])
def test_a_trace_on_unknown_sizes_serves_where_no_initialiser_needs_one(
    module_call, spec, needs_size
):
    traced = []

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            traced.append(x.shape)
            if needs_size:
                self.variable("state", "zero", lambda: jnp.zeros(x.shape[0]).sum())
            return nn.Dense(2)(x)

    asked, specs = module_call(Net(), spec(None, 3))
    build_spec, trace = infer_build_spec(asked, specs)
    before = len(traced)
    values = initial_variables(build_spec, SEED, trace=trace)
    assert (len(traced) > before) == needs_size
    assert_same_bits(values, raw_init(Net(), jnp.ones((2, 3))))
