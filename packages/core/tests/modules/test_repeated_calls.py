"""Equal submodules are evaluated once, and nothing that is found differs for it (B2, B6)."""

import functools
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from flaxlayer_core import infer_build_spec, init_rngs, initial_variables
from flaxlayer_core.modules.repeated_calls import merging_repeats

pytestmark = pytest.mark.law("B6")

may_draw = pytest.mark.skipif(
    not hasattr(nnx, "data"), reason="Flax 0.10 lets no initialiser draw from another stream"
)
SEED, DEPTH = 3, 4
X = np.linspace(-1.0, 1.0, 6, dtype=np.float32).reshape(2, 3)
CALLS = []


class Counted(nn.Module):
    """A block that notes each time that it runs."""

    @nn.compact
    def __call__(self, x):
        CALLS.append(type(self).__name__)
        return self.run(x)

    def run(self, x):
        return nn.Dense(3)(x)


class Deep(nn.Module):
    """Equal blocks one after the other, and a head."""

    block: type[nn.Module]
    fields: tuple = ((),) * DEPTH
    head: type[nn.Module] | None = None

    @nn.compact
    def __call__(self, x, train=False):
        for fields in self.fields:
            x = self.block(*fields)(x)
        return x if self.head is None else self.head()(x)


class Plain(Counted):
    pass


class Attends(Counted):
    width: int = 4

    @nn.compact
    def run(self, x):
        y = nn.MultiHeadDotProductAttention(2, qkv_features=self.width)(x)
        return x + nn.Dropout(0.5, deterministic=False)(nn.LayerNorm()(y))


class SetUp(Counted):
    def setup(self):
        self.inner = nn.Dense(3)
        self.scale = self.param("scale", nn.initializers.normal(), (3,))

    def __call__(self, x):
        CALLS.append("SetUp")
        return self.inner(x) * self.scale


class Boxed(Counted):
    @nn.compact
    def run(self, x):
        kernel_init = nn.with_partitioning(nn.initializers.lecun_normal(), ("in", None))
        scale = self.param("scales", lambda key: {"a": jnp.ones(3), "b": jnp.zeros(3)})
        return nn.Dense(3, kernel_init=kernel_init)(x) * scale["a"]


class DrawsBetween(Counted):
    @nn.compact
    def run(self, x):
        x = x * self.param("first", nn.initializers.normal(), (3,))
        if self.is_initializing():
            self.make_rng("params")
        return x * self.param("second", nn.initializers.normal(), (3,))


MERGED = [Plain, Attends, SetUp, Boxed, DrawsBetween]


class Fields(Counted):
    width: int = 3

    @nn.compact
    def run(self, x):
        return nn.Dense(self.width)(x)


class Named(Counted):
    @nn.compact
    def run(self, x):
        return nn.Dense(3)(x) if self.name.endswith("1") else x


class Nested(Counted):
    @nn.compact
    def run(self, x):
        depth = len(self.path)
        return nn.Dense(3, use_bias=depth > 1)(x)


class FromData(Counted):
    @nn.compact
    def run(self, x):
        return x * self.param("scale", lambda key: jnp.abs(x).mean(0) + 1)


class FromField(Counted):
    @nn.compact
    def run(self, x):
        return Scaled(lambda key: jnp.abs(x).mean(0) + 1)(x)


class Scaled(nn.Module):
    init: object

    @nn.compact
    def __call__(self, x):
        return x * self.param("scale", self.init)


class DrawsItself(Counted):
    @nn.compact
    def run(self, x):
        def init(key, shape):
            return jax.random.normal(self.make_rng("params"), shape)

        return x * self.param("scale", init, (3,))


class AsksItself(Counted):
    def start(self, key):
        return jax.random.normal(key, (3,)) + len(self.variables)

    @nn.compact
    def run(self, x):
        return x * self.param("scale", self.start)


class DrawsInside(Counted):
    @nn.compact
    def run(self, x):
        def init(key, shape, dtype):
            return jax.random.normal(self.make_rng("params"), shape, dtype)

        return nn.DenseGeneral(3, kernel_init=init)(x)


class Norms(Counted):
    @nn.compact
    def run(self, x):
        return nn.BatchNorm(use_running_average=False)(nn.Dense(3)(x))


class Widens(Counted):
    @nn.compact
    def run(self, x):
        total = self.variable("state", "total", jnp.zeros, (3,))
        if not self.is_initializing():
            total.value = total.value + 1j
        return x


class Sows(Counted):
    @nn.compact
    def run(self, x):
        self.sow("losses", "loss", x.sum())
        return x


class Puts(Counted):
    @nn.compact
    def run(self, x):
        if not self.has_variable("params", "put"):
            self.put_variable("params", "put", jnp.ones(3))
        return x * self.get_variable("params", "put")


class Scans(Counted):
    @nn.compact
    def run(self, x):
        scanned = nn.scan(
            lambda module, carry, _: (nn.Dense(3)(carry), None),
            variable_axes={"params": 0},
            split_rngs={"params": True},
            length=2,
        )
        return scanned(self, x, None)[0]


class Remat(Counted):
    @nn.compact
    def run(self, x):
        return _RematDense(3)(_RematDense(3)(x))


_RematDense = nn.remat(nn.Dense)


class Appends(nn.Module):
    """Leaves something in a list that it is given."""

    @nn.compact
    def __call__(self, x, left):
        CALLS.append("Appends")
        left.append(x)
        return nn.Dense(3)(x)


class Collects(nn.Module):
    """Returns what its blocks left."""

    depth: int

    @nn.compact
    def __call__(self, x):
        left = []
        for _ in range(self.depth):
            x = Appends()(x, left)
        return jnp.stack(left)


class Pairs(nn.Module):
    """Does something else where its arguments are one array."""

    @nn.compact
    def __call__(self, x, y):
        return nn.Dense(3)(x), None if x is y else y.sum()


class Crosses(nn.Module):
    """Attends to itself, then to something else."""

    depth: int

    @nn.compact
    def __call__(self, x):
        return Pairs()(x, x), Pairs()(x, nn.Dense(3)(x))


class Peeks(nn.Module):
    """Reads at once what a block left."""

    depth: int

    @nn.compact
    def __call__(self, x):
        for _ in range(self.depth):
            left = []
            x = Appends()(x, left) + left[0]
        return x


class Applies(nn.Module):
    """Applies a function that it is given in a call."""

    @nn.compact
    def __call__(self, x, function):
        return function(nn.Dense(3)(x))


class Functions(nn.Module):
    """Hands other functions to equal blocks."""

    depth: int

    @nn.compact
    def __call__(self, x):
        return [Applies()(x, function) for function in (jnp.sum, jnp.ravel, jnp.sum)]


class Hooked(nn.Module):
    """Runs a function that it is made with."""

    hook: object

    @nn.compact
    def __call__(self, x):
        self.hook(x)
        return nn.Dense(3)(x)


class Hooks(nn.Module):
    """Lets equal blocks sow into it."""

    depth: int

    @nn.compact
    def __call__(self, x):
        def hook(x):
            self.sow("losses", "loss", x.sum())

        for _ in range(self.depth):
            x = Hooked(hook)(x)
        return x


class Inner(nn.Module):
    """Wraps other modules in equal ones."""

    depth: int

    @nn.compact
    def __call__(self, x):
        scaled = [Around(nn.Dense(width))(x) for width in (3, 5, 3)]
        return scaled


class Around(nn.Module):
    inner: nn.Module

    @nn.compact
    def __call__(self, x):
        return self.inner(x)


class Asks(nn.Module):
    """Returns something else where it has a stream, and where it may change its state."""

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(3)(x)
        noisy, kept = self.has_rng("noise"), self.is_mutable_collection("state")
        return x, (x.sum() if noisy else None), (x.mean() if kept else None)


class Narrowed(nn.Module):
    """Runs a block as it is, without a stream, and without state."""

    depth: int

    @nn.compact
    def __call__(self, x):
        def run(module, x):
            return Asks()(x)

        self.make_rng("noise")
        without_stream = nn.remat(run, rngs=["params"])
        without_state = nn.remat(run, variables=["params"])
        return Asks()(x), without_stream(self, x), without_state(self, x)


class Twice(nn.Module):
    """Calls each block twice, and one block for all."""

    depth: int

    def setup(self):
        self.blocks = [Plain() for _ in range(self.depth)]
        self.shared = Plain()

    def __call__(self, x):
        for block in self.blocks:
            x = self.shared(block(block(x)))
        return x


class Wraps(nn.Module):
    """Runs a module that it is given."""

    inner: nn.Module

    @nn.compact
    def __call__(self, x):
        return self.inner(x) * self.param("scale", nn.initializers.normal(), (3,))


class Shares(nn.Module):
    """Hands one module to several blocks."""

    depth: int

    @nn.compact
    def __call__(self, x):
        shared = nn.Dense(3)
        for _ in range(self.depth):
            x = Wraps(shared)(x)
        return x


class HeadFromData(nn.Module):
    """Starts where its inputs have their mean."""

    @nn.compact
    def __call__(self, x):
        return x - self.param("mean", lambda key: x.mean(0))


class Mapped(nn.Module):
    """Runs its blocks for each item of the batch."""

    depth: int

    @nn.compact
    def __call__(self, x):
        mapped = nn.vmap(
            lambda module, x: deep(Plain, self.depth)(x),
            variable_axes={"params": None},
            split_rngs={"params": False},
        )
        return mapped(self, x)


class Returns(nn.Module):
    """Returns what is no array of a plain dtype."""

    what: object

    @nn.compact
    def __call__(self, x):
        CALLS.append("Returns")
        return self.what()


class Chain(nn.Module):
    """Calls two equal modules alike."""

    what: object

    @nn.compact
    def __call__(self, x):
        return Returns(self.what)(x), Returns(self.what)(x)


def deep(block, depth, *fields, **settings):
    return Deep(block, (fields,) * depth, **settings)


def find(module, module_call):
    """Builds a module; returns what was found, its values, and how many blocks ran."""
    CALLS.clear()
    asked, specs = module_call(module, X)
    build_spec, trace = infer_build_spec(asked, specs)
    values = initial_variables(build_spec, SEED, trace=trace, values=[jnp.asarray(X)])
    return build_spec.spec, values, len(CALLS)


def forms(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


def check(module, module_call):
    """Builds a module, and compares all that was found with raw Flax; returns its count."""
    spec, values, calls = find(module, module_call)
    raw = module.init(init_rngs(SEED, spec.init_streams), X)
    raw = {name: raw[name] for name in values}
    assert jax.tree.structure(values) == jax.tree.structure(raw)
    jax.tree.map(np.testing.assert_array_equal, values, raw)
    for plan in (spec.training, spec.inference):
        rngs = init_rngs(SEED, plan.streams)
        apply = functools.partial(module.apply, rngs=rngs, mutable=plan.mutable)
        outputs, updates = jax.eval_shape(apply, raw, X)
        assert forms(plan.output) == forms(outputs)
        assert forms(dict(plan.updates)) == forms(dict(updates))
    return calls


@pytest.mark.law("B2")
@pytest.mark.parametrize("block", [Plain, Attends, SetUp, Boxed, DrawsBetween])
def test_equal_blocks_run_once(block, module_call):
    assert check(deep(block, 6), module_call) == check(deep(block, 1), module_call)


@pytest.mark.law("B2")
@pytest.mark.parametrize("block", [Named, Nested, Sows])
def test_blocks_that_may_differ_all_run(block, module_call):
    assert check(deep(block, 3), module_call) == 3 * check(deep(block, 1), module_call)


@pytest.mark.law("B2")
@pytest.mark.parametrize("block", [FromField, Norms, Puts, Scans, Remat])
def test_blocks_that_make_variables_in_their_own_way_all_do_so(block, module_call):
    assert check(deep(block, 3), module_call) > check(deep(block, 1), module_call)


@pytest.mark.law("B2")
@pytest.mark.parametrize(
    "block",
    [
        FromData,
        pytest.param(DrawsItself, marks=may_draw),
        pytest.param(DrawsInside, marks=may_draw),
        AsksItself,
    ],
)
def test_params_that_need_more_than_their_key_are_those_of_their_own_block(block, module_call):
    check(deep(block, 3), module_call)


@pytest.mark.law("B2")
def test_a_param_that_depends_on_what_was_left_out_is_made_of_the_real_one(module_call):
    check(deep(Plain, 3, head=HeadFromData), module_call)


@pytest.mark.law("B2")
def test_fields_tell_blocks_apart(module_call):
    check(Deep(Fields, ((3,), (4,), (3,)), head=HeadFromData), module_call)


@pytest.mark.law("B2")
@pytest.mark.parametrize(
    "module", [Collects, Crosses, Functions, Hooks, Inner, Mapped, Narrowed, Peeks, Shares, Twice]
)
def test_modules_that_are_called_in_other_ways(module, module_call):
    check(module(3), module_call)


@pytest.mark.law("C2")
def test_the_state_of_each_block_is_found_to_widen(module_call):
    spec, _, _ = find(deep(Widens, 16), module_call)
    assert [str(each) for each in spec.layout.specs] == ["complex64[3]"] * 16


def test_variables_tell_calls_apart():
    class Reads(nn.Module):
        def __call__(self, x):
            return x @ self.get_variable("params", "kernel")

    class Two(nn.Module):
        def setup(self):
            self.blocks = [Reads(), Reads()]

        def __call__(self, x):
            return [block(x) for block in self.blocks]

    widths = {"blocks_0": 4, "blocks_1": 5}
    variables = {"params": {name: {"kernel": jnp.ones((3, widths[name]))} for name in widths}}
    with merging_repeats():
        outputs = jax.eval_shape(Two().apply, variables, X)
    assert [output.shape for output in outputs] == [(2, 4), (2, 5)]


@pytest.mark.parametrize(
    "what",
    [lambda: jnp.asarray(2.0) * 1.0, lambda: jax.random.key(0), lambda: np.ones(2)],
    ids=["weak", "key", "constant"],
)
def test_outputs_that_are_more_than_their_form_are_made_each_time(what):
    CALLS.clear()
    with merging_repeats():
        outputs = jax.eval_shape(Chain(what).apply, {}, X)
    assert len(CALLS) == 2
    assert outputs[1] == jax.eval_shape(what)


def test_under_an_interceptor_of_the_user_all_blocks_run():
    module = deep(Plain, 3)
    variables = module.init(jax.random.key(0), X)
    seen = []

    def note(call, args, kwargs, context):
        seen.append(context.method_name)
        return call(*args, **kwargs)

    CALLS.clear()
    with nn.intercept_methods(note), merging_repeats():
        jax.eval_shape(module.apply, variables, X)
    assert len(CALLS) == 3
    assert seen.count("run") == 3


def test_nothing_stays_of_an_evaluation_that_failed():
    class Fails(nn.Module):
        @nn.compact
        def __call__(self, x):
            raise ValueError("it fails")

    with pytest.raises(ValueError, match="it fails"), merging_repeats([X]):
        deep(Fails, 2).init(jax.random.key(0), X)
    CALLS.clear()
    variables = deep(Plain, 2).init(jax.random.key(0), X)
    deep(Plain, 2).apply(variables, X)
    assert len(CALLS) == 4


class Configured(nn.Module):
    """Has a param more in each second layer, as its configuration says at the time."""

    config: object

    @nn.compact
    def __call__(self, x):
        y = nn.Dense(3)(x)
        return y + self.param("more", nn.initializers.ones, (3,)) if self.config.layer % 2 else y


class Reconfigures(nn.Module):
    """Changes the configuration that its blocks share from one to the next."""

    depth: int

    @nn.compact
    def __call__(self, x):
        config = types.SimpleNamespace(layer=0)
        for config.layer in range(self.depth):
            x = Configured(config)(x)
        return x


@pytest.mark.law("B2")
def test_a_configuration_counts_by_what_it_holds_at_the_time(module_call):
    check(Reconfigures(4), module_call)
