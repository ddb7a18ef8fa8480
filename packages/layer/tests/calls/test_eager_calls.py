"""Eager calls run compiled, with the bits of a jitted apply, and see whatever changes (A6)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import EscapeTraceError

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


class Counts(nn.Module):
    """Says how often Python ran it."""

    runs = 0

    @nn.compact
    def __call__(self, x, train=False):
        type(self).runs += 1
        x = nn.Dense(3)(x)
        x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.Dropout(0.5, deterministic=not train)(x)


@pytest.fixture
def layer():
    layer = FlaxLayer(Counts(), seed=0)
    layer(X), layer(X, training=True)
    return layer


@pytest.mark.law("A6")
def test_a_second_call_does_not_run_the_python_of_the_module(layer):
    before = Counts.runs
    layer(X), layer(X, training=True)
    assert Counts.runs == before


@pytest.mark.law("A6")
@pytest.mark.parametrize("training", [False, True])
def test_an_eager_call_gives_the_bits_of_a_jitted_apply(layer, training, raw_apply, same_results):
    expected, _ = raw_apply(layer, X, training=training, flags=[("train", training)])
    same_results(layer(X, training=training), expected)


@pytest.mark.law("A6")
def test_changed_weights_are_seen(layer):
    before = np.asarray(layer(X))
    layer.load_flax_variables({"params": {"Dense_0": {"bias": np.full(3, 5.0, np.float32)}}})
    assert not (np.asarray(layer(X)) == before).any()


@pytest.mark.law("A6")
def test_a_changed_seed_is_seen(layer, same_bits):
    state = layer.flax_variables()
    layer.seed_generator.state.assign([11, 3])
    first = layer(X, training=True)
    layer.load_flax_variables(state)
    layer.seed_generator.state.assign([11, 3])
    same_bits(layer(X, training=True), first)


@pytest.mark.law("A6")
def test_disable_jit_runs_the_module_op_by_op(layer):
    before = Counts.runs
    with jax.disable_jit():
        layer(X)
    assert Counts.runs == before + 1


@pytest.mark.law("A6")
def test_logical_axis_rules_are_part_of_the_key():
    class ReadsRules(nn.Module):
        def __call__(self, x):
            return x * (2.0 if nn.get_logical_axis_rules() else 1.0)

    layer = FlaxLayer(ReadsRules())
    plain = layer(X)
    with nn.logical_axis_rules([("a", None)]):
        np.testing.assert_array_equal(layer(X), 2 * plain)
    np.testing.assert_array_equal(layer(X), plain)


@pytest.mark.law("A6")
def test_matmul_precision_and_x64_are_part_of_the_key(enable_x64):
    class ReadsConfig(nn.Module):
        def __call__(self, x):
            wide = jax.config.jax_enable_x64
            high = jax.config.jax_default_matmul_precision == "highest"
            return x * (1.0 + wide) * (3.0 if high else 1.0)

    layer = FlaxLayer(ReadsConfig())
    one = jnp.ones((1,))
    assert float(layer(one)[0]) == 1.0
    with jax.default_matmul_precision("highest"):
        assert float(layer(one)[0]) == 3.0
    with enable_x64(True):
        assert float(layer(one)[0]) == 2.0
    assert float(layer(one)[0]) == 1.0


@pytest.mark.law("A6")
def test_method_interceptors_are_obeyed():
    layer = FlaxLayer(nn.Dense(3))
    plain = layer(X)

    def double(call, args, kwargs, context):
        return 2 * call(*args, **kwargs)

    with nn.intercept_methods(double):
        np.testing.assert_allclose(layer(X), 2 * plain, rtol=1e-6)
    np.testing.assert_array_equal(layer(X), plain)


@pytest.mark.law("A6")
def test_a_module_that_branches_on_values_runs_op_by_op(same_bits):
    class Branches(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(x) if float(x.sum()) > 0 else x[:, :2]

    layer = FlaxLayer(Branches())
    layer(np.abs(X))
    for x in (np.abs(X), -np.abs(X)):
        same_bits(layer(x), Branches().apply(layer.flax_variables(), jnp.asarray(x)))


@pytest.mark.jax_only("transformations of JAX trace arrays of JAX")
@pytest.mark.law("A6")
def test_calls_inside_jit_grad_and_vmap_are_inlined(layer):
    variables = layer.flax_variables()

    def raw(x):
        return Counts().apply(variables, x)

    x = jnp.asarray(X)
    np.testing.assert_allclose(jax.jit(layer)(x), jax.jit(raw)(x), rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(layer)(x), jax.vmap(raw)(x), rtol=1e-6)
    actual = jax.grad(lambda x: layer(x).sum())(x)
    np.testing.assert_allclose(actual, jax.grad(lambda x: raw(x).sum())(x), rtol=1e-6)


@pytest.mark.jax_only("a tf.function may change variables")
@pytest.mark.law("A6")
def test_state_does_not_leak_out_of_a_trace(layer, same_bits):
    before = layer.flax_variables()
    with pytest.raises(EscapeTraceError, match="stateless_call"):
        jax.jit(lambda x: layer(x, training=True))(X)
    same_bits(layer.flax_variables(), before)
    layer(X, training=True)


@pytest.mark.law("A6")
def test_a_stateless_scope_keeps_all_changes_to_itself(layer, same_bits):
    before, seed = layer.flax_variables(), np.asarray(layer.seed_generator.state.value)
    with keras.StatelessScope() as scope:
        layer(X, training=True)
        mean = scope.get_current_value(layer.state["batch_stats"]["BatchNorm_0"]["mean"])
    same_bits(layer.flax_variables(), before)
    same_bits(layer.seed_generator.state.value, seed)
    assert not (np.asarray(mean) == np.asarray(before["batch_stats"]["BatchNorm_0"]["mean"])).all()


@pytest.mark.law("A6")
def test_stateless_call_returns_what_an_eager_call_writes(layer, compiled):
    trainable = [v.value for v in layer.trainable_variables]
    rest = [v.value for v in layer.non_trainable_variables]
    call = compiled(lambda t, r, x: layer.stateless_call(t, r, x, training=True))
    outputs, updated = call(trainable, rest, X)
    np.testing.assert_allclose(outputs, layer(X, training=True), rtol=1e-6)
    for value, variable in zip(updated, layer.non_trainable_variables, strict=True):
        np.testing.assert_allclose(value, variable.value, rtol=1e-6, err_msg=variable.path)


@pytest.mark.law("A6")
def test_the_shortcut_gives_what_keras_own_call_gives(layer, same_bits):
    quick = layer(X[:1].repeat(2, 0) * 1.0)
    whole = keras.layers.Layer.__call__(layer, jnp.asarray(X[:1].repeat(2, 0)))
    same_bits(quick, whole)


def cost(program):
    found = program.cost_analysis()
    return found[0] if isinstance(found, list) else found  # a list until JAX 0.5


@pytest.mark.jax_only("of a program that jax.jit compiles")
@pytest.mark.law("A6")
def test_the_compiled_program_costs_what_a_raw_apply_costs(layer):
    values = [v.value for v in layer.trainable_variables]
    rest = [v.value for v in layer.non_trainable_variables]
    ours = jax.jit(lambda t, r, x: layer.stateless_call(t, r, x)[0]).lower(values, rest, X)
    raw = jax.jit(lambda v, x: Counts().apply(v, x)).lower(layer.flax_variables(), X)
    ours, raw = cost(ours.compile()), cost(raw.compile())
    assert ours["flops"] == raw["flops"]
    assert ours["bytes accessed"] == raw["bytes accessed"]
