"""A method is whatever `Module.apply(method=...)` takes, in linen and nnx (A3)."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from flaxlayer_core import (
    InspectMethodError,
    LinenModule,
    MethodSignature,
    ModuleCall,
    NnxModule,
    flatten_with_paths,
    infer_module_spec,
    partition,
)

X = jnp.linspace(-1.0, 1.0, 6).reshape(2, 3)


def doubled(function):
    @functools.wraps(function)
    def run(*args, **kwargs):
        return function(*args, **kwargs) * 2

    return run


class Mixin:
    def mixed(self, x):
        return self.encode(x) + 1


class Encoder(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(2)(x) + train


class Coder(Mixin, nn.Module):
    head: nn.Module
    activation: object = nn.relu

    def setup(self):
        self.encoder = Encoder()
        self.drop = nn.Dropout(0.5, deterministic=True)
        self.scale = self.param("scale", nn.initializers.ones, (1,))
        self.widths = [1, 2]

    def __call__(self, x):
        return self.head(self.encode(x)) * self.scale

    def encode(self, x, *, train=False):
        return self.encoder(x, train)

    def _secret(self, x):
        return self.encode(x) - 1

    @nn.jit
    def jitted(self, x, deterministic=True):
        return self.encode(x) * deterministic

    @functools.partial(nn.jit, static_argnames=("train",))
    def jitted_partial(self, x, train=False):
        return self.encode(x, train=train)

    @nn.remat
    def rematerialised(self, x):
        return self.encode(x)

    @nn.nowrap
    def unwrapped(self, x):
        return self.encode(x)

    @doubled
    def wrapped(self, x, train=False):
        return self.encode(x, train=train)

    bound = functools.partialmethod(encode, train=True)
    part = functools.partial(encode, train=True)

    @staticmethod
    def static(module, x):
        return module.encode(x)

    @classmethod
    def of_class(cls, module, x):
        return module.encode(x)

    @property
    def inner(self):
        return self.encoder


class Child(Coder):
    def encode(self, x, *, train=False):
        return super().encode(x, train=train) * 3


class Other(nn.Module):
    def foreign(self, x):
        return x + 5


def add_one(module, x):
    return module.encode(x) + 1


def make(cls=Coder):
    return cls(head=nn.Dense(4))


@functools.cache
def variables(cls=Coder):
    return make(cls).init(jax.random.key(0), X)


def through_protocol(linen, resolved, **kwargs):
    call = {"method": resolved, "rngs": {}, "mutable": nn.DenyList("params")}
    return linen.apply(variables(type(linen.module)), (X,), kwargs, **call)[0]


TAKEN = [
    "encode",
    "_secret",
    "jitted",
    "jitted_partial",
    "rematerialised",
    "unwrapped",
    "wrapped",
    "part",
    "static",
    "of_class",
    "mixed",
    make().encode,
    Coder.encode,
    Coder.jitted,
    Other().foreign,
    Coder.of_class,
    functools.partial(Coder.encode, train=True),
    add_one,
    lambda module, x: module.encode(x),
]


@pytest.mark.law("A3")
@pytest.mark.parametrize("cls", [Coder, Child])
@pytest.mark.parametrize("method", TAKEN, ids=[getattr(m, "__name__", "partial") for m in TAKEN])
def test_what_raw_apply_takes_gives_what_raw_apply_gives(method, cls):
    linen = LinenModule(make(cls))
    expected = make(cls).apply(variables(cls), X, method=method)
    assert jnp.array_equal(through_protocol(linen, linen.resolve_method(method)), expected)


@pytest.mark.law("A3")
@pytest.mark.parametrize("method", ["encoder", "inner"])
def test_a_submodule_that_setup_makes_is_called_by_its_name(method):
    linen = LinenModule(make())
    expected = make().apply(variables(), X, method=lambda m, x: m.encoder(x))
    assert jnp.array_equal(through_protocol(linen, linen.resolve_method(method)), expected)


@pytest.mark.law("A3")
def test_a_submodule_in_a_field_is_called_by_its_name():
    linen, code = LinenModule(make()), jnp.ones((1, 2))
    expected = make().apply(variables(), code, method="head")
    call = {"method": linen.resolve_method("head"), "rngs": {}, "mutable": nn.DenyList("params")}
    assert jnp.array_equal(linen.apply(variables(), (code,), {}, **call)[0], expected)


@pytest.mark.law("A3")
def test_a_submodule_is_initialised_by_its_name():
    linen = LinenModule(make())
    key = {"params": jax.random.key(0)}
    expected = make().init(key, X, method=lambda m, x: m.encoder(x))
    made = linen.init(key, (X,), {}, method="encoder")
    assert jax.tree.all(jax.tree.map(jnp.array_equal, made, expected))


@pytest.mark.law("A3")
@pytest.mark.parametrize(
    "method", ["bound", make().bound, functools.partial(make().encode, train=True)]
)
def test_a_partial_method_runs_with_what_it_binds(method):
    linen = LinenModule(make())
    expected = make().apply(variables(), X, train=True, method="encode")
    assert jnp.array_equal(through_protocol(linen, linen.resolve_method(method)), expected)


@pytest.mark.law("A3")
@pytest.mark.parametrize(
    ("method", "name"),
    [
        (make().encode, "encode"),
        (make().jitted, "jitted"),
        (make().bound, "bound"),
        (Coder.part, "part"),
        (make().mixed, "mixed"),
    ],
)
def test_a_method_of_another_instance_is_known_by_its_name(method, name):
    assert LinenModule(make()).resolve_method(method) == name


@pytest.mark.law("A3")
def test_a_method_that_the_class_overrides_is_not_taken_for_its_own():
    resolved = LinenModule(make(Child)).resolve_method(Coder.encode)
    assert resolved is Coder.encode


@pytest.mark.law("A3")
@pytest.mark.parametrize("name", ["activation", "scale", "widths", "__len__", "Dense_0", "a.b"])
def test_what_cannot_be_called_as_a_method_is_refused(name):
    with pytest.raises(InspectMethodError, match="no such public method"):
        LinenModule(make()).resolve_method(name)


@pytest.mark.law("A3")
@pytest.mark.parametrize("method", [nn.Dense(2), dict, 3, lambda: None])
def test_what_takes_no_module_is_refused(method):
    with pytest.raises(InspectMethodError):
        LinenModule(make()).resolve_method(method)


@pytest.mark.law("A2")
@pytest.mark.parametrize(
    ("method", "flags"),
    [
        ("jitted", (("deterministic", True),)),
        ("jitted_partial", (("train", False),)),
        ("wrapped", (("train", False),)),
        ("encoder", (("train", False),)),
        ("encode", (("train", False),)),
        (make().encode, (("train", False),)),
    ],
)
def test_flags_are_found_through_wrappers(method, flags):
    assert MethodSignature.from_method(LinenModule(make()), method).flags == flags


@pytest.mark.law("A2")
@pytest.mark.parametrize("method", ["bound", "part", functools.partial(Coder.encode, train=True)])
def test_a_flag_that_a_partial_method_binds_is_left_alone(method):
    assert MethodSignature.from_method(LinenModule(make()), method).flags == ()


@pytest.mark.law("A4")
def test_a_mask_that_a_partial_method_binds_is_left_alone():
    def forward(module, x, mask=None):
        return x

    linen = LinenModule(make())
    assert MethodSignature.from_method(linen, forward).mask_arg == "mask"
    assert MethodSignature.from_method(linen, functools.partial(forward, mask=1)).mask_arg is None


@pytest.mark.law("A2")
def test_what_a_submodule_decides_itself_is_left_to_it():
    assert MethodSignature.from_method(LinenModule(make()), "drop").flags == ()


# nnx: what a method gives is what the module itself gives.

needs_nnx = pytest.mark.skipif(not hasattr(nnx, "data"), reason="nnx modules ask for Flax 0.11")


class NnxEncoder(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(3, 2, rngs=rngs)

    def __call__(self, x, train=False):
        return self.dense(x) + train


class NnxCoder(Mixin, nnx.Module):
    def __init__(self, *, rngs):
        self.encoder = NnxEncoder(rngs)
        self.act = jnp.tanh

    @nnx.jit
    def __call__(self, x):
        return self.encoder(x)

    def encode(self, x, *, train=False):
        return self.encoder(x, train)

    @functools.partial(nnx.jit, static_argnames=("train",))
    def jitted(self, x, train=False):
        return self.encode(x, train=train)

    @nnx.remat
    def rematerialised(self, x):
        return self.encode(x)

    @staticmethod
    def static(x):
        return x + 1

    @classmethod
    def of_class(cls, x):
        return x + 2

    @property
    def inner(self):
        return self.encoder

    def _secret(self, x):
        return self.encode(x) - 1

    bound = functools.partialmethod(encode, train=True)


class Partial(nnx.Module):
    def __init__(self, *, rngs):
        self.encoder = NnxEncoder(rngs)

    def run(self, x, scale):
        return self.encoder(x) * scale

    __call__ = functools.partialmethod(run, scale=3.0)


def nnx_outputs(nnx_module, method, x=X):
    keys = {"default": jax.random.key(0)}
    stored = nnx_module.init(keys, (), {}, method="__call__")
    call = {"method": nnx_module.resolve_method(method), "rngs": {}, "mutable": True}
    return nnx_module.apply(stored, (x,), {}, **call)[0]


NAMES = ["__call__", "encode", "jitted", "rematerialised", "static", "of_class", "mixed"]


@pytest.mark.law("A3")
@pytest.mark.parametrize("form", ["object", "factory"])
@pytest.mark.parametrize("name", [*NAMES, "inner", "_secret", "bound", "encoder"])
@needs_nnx
def test_an_nnx_name_gives_what_the_module_gives(name, form):
    module = NnxCoder(rngs=nnx.Rngs(default=jax.random.key(0)))
    expected = getattr(module, name)(X)
    found = nnx_outputs(NnxModule(module if form == "object" else NnxCoder), name)
    assert jnp.array_equal(found, expected)


@pytest.mark.law("A3")
@pytest.mark.parametrize("name", ["__call__", "encode", "jitted", "bound"])
@needs_nnx
def test_an_nnx_method_of_another_instance_runs_on_the_layer_s_own_variables(name):
    module = NnxCoder(rngs=nnx.Rngs(default=jax.random.key(0)))
    other = NnxCoder(rngs=nnx.Rngs(default=jax.random.key(1)))
    wrapped = NnxModule(module)
    assert wrapped.resolve_method(getattr(other, name)) == name
    assert jnp.array_equal(nnx_outputs(wrapped, getattr(other, name)), getattr(module, name)(X))


@pytest.mark.law("A3")
@pytest.mark.parametrize(
    "method",
    [NnxCoder.jitted, NnxCoder.encode, nnx.jit(NnxCoder.encode), lambda m, x: m.encode(x)],
)
@needs_nnx
def test_an_nnx_method_that_is_bound_to_nothing_gives_what_the_module_gives(method):
    module = NnxCoder(rngs=nnx.Rngs(0))
    assert jnp.array_equal(nnx_outputs(NnxModule(module), method), method(module, X))


@pytest.mark.law("A3")
@needs_nnx
def test_a_partial_nnx_call_is_the_method_of_the_layer():
    module = Partial(rngs=nnx.Rngs(0))
    assert jnp.array_equal(nnx_outputs(NnxModule(module), None), module(X))
    assert str(NnxModule(module).signature("__call__")) == "(x, *, scale=3.0)"


@pytest.mark.law("A3")
@needs_nnx
def test_a_jitted_nnx_method_changes_state():
    class Counter(nnx.Module):
        def __init__(self):
            self.count = nnx.BatchStat(jnp.zeros(()))

        @nnx.jit
        def __call__(self, x):
            self.count[...] += 1
            return x

    module = NnxModule(Counter())
    stored = module.init({}, (), {}, method="__call__")
    call = {"method": "__call__", "rngs": {}, "mutable": True}
    _, updates = module.apply(stored, (X,), {}, **call)
    assert [float(leaf) for _, leaf in flatten_with_paths(updates)[0]] == [1.0]


@pytest.mark.law("A3")
@pytest.mark.parametrize("name", ["act", "train", "dense", "encoder.dense", "__init__"])
@needs_nnx
def test_an_nnx_name_that_is_no_method_is_refused(name):
    with pytest.raises(InspectMethodError, match="no such public method"):
        NnxModule(NnxCoder).resolve_method(name)


@pytest.mark.law("A2")
@needs_nnx
def test_nnx_flags_are_found_through_wrappers():
    module = NnxModule(NnxCoder)
    for name in ("encode", "jitted", "encoder", "inner"):
        assert MethodSignature.from_method(module, name).flags == (("train", False),)
    assert MethodSignature.from_method(module, "bound").flags == ()


@pytest.mark.law("C3")
@needs_nnx
def test_a_jitted_nnx_method_leaves_state_alone_as_a_plain_one_does():
    class Norm(nnx.Module):
        def __init__(self, *, rngs):
            self.norm = nnx.BatchNorm(3, rngs=rngs)

        @nnx.jit
        def __call__(self, x):
            return self.norm(x)

    module = NnxModule(Norm)
    call = MethodSignature.from_method(module, None)
    x = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    arrays, structure = partition((x,), {})
    found, _ = infer_module_spec(ModuleCall(module, call, call, structure), arrays)
    assert "batch_stats" in found.inference.denied
    assert "batch_stats" in found.training.updates
