"""Functions and classes as values: by name, partial, closure, method, lifted transform (S1)."""

import functools
import json
import sys
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from flaxlayer_core.config import decode_value, encode_value, remember

init = jax.nn.initializers
FAN = "fan_geo_avg" if jax.__version_info__ >= (0, 5) else "fan_avg"
INITIALIZERS = {
    "constant": init.constant(0.5),
    "constant_int": init.constant(3, jnp.int32),
    "constant_array": init.constant(jnp.arange(3.0)),
    "delta_orthogonal": init.delta_orthogonal(2.0),
    "glorot_normal": init.glorot_normal(),
    "glorot_uniform": init.glorot_uniform(in_axis=0, out_axis=1),
    "he_normal": init.he_normal(batch_axis=(0,)),
    "he_uniform": init.he_uniform(dtype=jnp.bfloat16),
    "lecun_normal": init.lecun_normal(in_axis=(0, 1)),
    "lecun_uniform": init.lecun_uniform(dtype=jnp.complex64),
    "normal": init.normal(0.02),
    "normal_half": init.normal(stddev=1, dtype="float16"),
    "ones": init.ones,
    "orthogonal": init.orthogonal(scale=1.4, column_axis=0),
    "truncated_normal": init.truncated_normal(0.5, lower=-1, upper=3.0),
    "uniform": init.uniform(scale=2),
    "variance_scaling": init.variance_scaling(0.3, FAN, "uniform"),
    "zeros": init.zeros,
}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_an_initializer_that_came_back_draws_the_same_bits(name, trip_value, same):
    ours = INITIALIZERS[name]
    again = trip_value(ours)
    assert same(again, ours) or name == "constant_array"
    key, shape = jax.random.key(3), (3, 3, 3)
    for dtype in ({}, {"dtype": jnp.float32}):
        left, right = ours(key, shape, **dtype), again(key, shape, **dtype)
        assert left.dtype == right.dtype
        assert (left == right).all()


def test_every_factory_of_initializers_is_covered():
    made = {
        name
        for name, value in vars(init).items()
        if callable(value)
        and not isinstance(value, type)
        and not name.startswith(("kaiming", "xavier"))
    }
    assert made - {name.removesuffix("_array") for name in INITIALIZERS} == set()


@pytest.mark.parametrize("wrap", [nn.with_partitioning, nn.with_logical_partitioning])
def test_a_partitioned_initializer_keeps_its_names(wrap, trip_value, same):
    ours = wrap(init.normal(0.1), ("embed", None))
    again = trip_value(ours)
    key = jax.random.key(0)
    left, right = ours(key, (2, 3)), again(key, (2, 3))
    assert type(left) is type(right)
    assert left.names == right.names
    assert (left.value == right.value).all()


def test_a_partial_keeps_its_function_and_all_arguments(trip_value, same):
    ours = functools.partial(
        nn.Conv, 3, kernel_size=(2, 2), use_bias=False, kernel_init=init.he_normal()
    )
    assert same(trip_value(ours), ours)
    assert same(
        trip_value(jax.tree_util.Partial(jnp.power, 2)), jax.tree_util.Partial(jnp.power, 2)
    )


def test_a_partial_of_a_partial_of_a_module_object_comes_back(trip_value, same):
    ours = functools.partial(functools.partial(nn.LayerNorm, epsilon=0.1), name="norm")
    assert same(trip_value(ours), ours)
    ours = functools.partial(nn.Dropout(0.5), deterministic=True)
    assert same(trip_value(ours), ours)


@pytest.mark.parametrize(
    "function",
    [
        nn.relu,
        nn.gelu,
        nn.silu,
        jnp.tanh,
        jnp.add,
        jax.lax.rsqrt,
        nn.avg_pool,
        nn.dot_product_attention,
    ],
    ids=lambda f: getattr(f, "__name__", str(f)),
)
def test_a_stock_function_is_the_very_function_again(function, trip_value):
    assert trip_value(function) is function


def test_a_checkpoint_policy_is_the_very_function_again(trip_value):
    policy = jax.checkpoint_policies.dots_saveable
    assert trip_value(policy) is policy


def test_a_checkpoint_policy_of_names_comes_back(trip_value, same):
    policy = jax.checkpoint_policies.save_only_these_names("attention", "mlp")
    again = trip_value(policy)
    assert again == policy or same(again, policy)


def halve(x):
    return x / 2


@jax.jit
def compiled_halve(x):
    return x / 2


def test_a_named_function_of_a_file_comes_back_without_registration(trip_value):
    assert trip_value(halve) is halve


def test_a_compiled_function_that_its_file_holds_under_its_name_comes_back(monkeypatch, trip_value):
    # The test runner does not list this file among the imported modules.
    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(compiled_halve=compiled_halve))
    assert trip_value(compiled_halve) is compiled_halve


class Coder(nn.Module):
    size: int = 3

    def encode(self, x):
        return x

    def _private(self, x):
        return x


def test_a_method_of_a_known_class_comes_back(trip_value):
    remember(Coder())
    assert encode_value(Coder.encode, path="method")["$type"] == "method"
    assert trip_value(Coder.encode) is Coder.encode


def test_a_class_is_a_value_like_any_other(trip_value):
    class Block(nn.Module):
        norm: type[nn.Module]

    assert trip_value([Block, nn.BatchNorm]) == [Block, nn.BatchNorm]


class Loop(nn.Module):
    width: int = 3

    @nn.compact
    def __call__(self, carry, x):
        return nn.Dense(self.width)(carry) + x, carry

    def encode(self, x):
        return nn.Dense(self.width)(x)


LIFTED = {
    "remat": lambda cls: nn.remat(cls),
    "remat_policy": lambda cls: nn.remat(
        cls, policy=jax.checkpoint_policies.dots_saveable, prevent_cse=False
    ),
    "vmap": lambda cls: nn.vmap(
        cls, variable_axes={"params": 0}, split_rngs={"params": True}, axis_size=2
    ),
    "vmap_deny": lambda cls: nn.vmap(
        cls, {nn.DenyList("cache"): 0}, {"params": True}, in_axes=(0, None)
    ),
    "scan": lambda cls: nn.scan(
        cls,
        variable_broadcast="params",
        split_rngs={"params": False},
        in_axes=nn.broadcast,
        length=3,
    ),
    "jit": lambda cls: nn.jit(cls, methods=["__call__", "encode"]),
    "methods": lambda cls: nn.remat(
        cls, methods={"encode": {"prevent_cse": False}, "__call__": {}}
    ),
    "nested": lambda cls: nn.remat(nn.vmap(cls, {"params": 0}, {"params": True}, axis_size=2)),
    "map_variables": lambda cls: nn.map_variables(cls, "params", mutable=True, init=True),
}


@pytest.mark.parametrize("name", LIFTED)
def test_a_lifted_class_comes_back_as_the_same_class(name, trip):
    module = LIFTED[name](Loop)(width=4)
    again = trip(module)
    assert again == module
    assert type(again) is type(module)


@pytest.mark.parametrize("name", ["vmap", "scan", "remat", "remat_policy", "nested", "jit"])
def test_a_lifted_class_rebuilt_elsewhere_computes_the_same_bits(name, monkeypatch):
    from flaxlayer_core.config.kinds import classes

    module = LIFTED[name](Loop)()
    stored = json.loads(json.dumps(encode_value(module, path="module")))
    monkeypatch.setattr(classes, "_made", {})  # as in another process
    again = decode_value(stored, path="module")
    assert type(again) is not type(module)
    shapes = {"vmap": (2, 1, 3), "nested": (2, 1, 3)}
    carry = jnp.ones(shapes.get(name, (1, 3)))
    inputs = (carry, jnp.ones_like(carry))
    variables = module.init(jax.random.key(0), *inputs)
    rebuilt = again.init(jax.random.key(0), *inputs)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), variables, rebuilt))
    ours, theirs = module.apply(variables, *inputs), again.apply(variables, *inputs)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), ours, theirs))


def test_two_transforms_of_one_class_that_share_a_name_are_told_apart():
    shallow = nn.vmap(Loop, {"params": 0}, {"params": True}, axis_size=2)
    deep = nn.vmap(Loop, {"params": 0}, {"params": True}, axis_size=5)
    assert shallow.__qualname__ == deep.__qualname__
    assert encode_value(shallow, path="cls") != encode_value(deep, path="cls")
