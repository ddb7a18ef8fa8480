"""State is written back whole, when it should be (C2-C4, C7)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import CollectionPolicy, StateStructureError

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32).reshape(2, 4)


class Normed(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(3)(x)
        self.sow("intermediates", "hidden", x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        self.sow("losses", "square", jnp.mean(x**2))
        self.sow("losses", "abs", jnp.mean(jnp.abs(x)))
        return x


class Counter(nn.Module):
    """Counts its calls, in both modes."""

    @nn.compact
    def __call__(self, x):
        count = self.variable("counts", "calls", lambda: jnp.zeros((), jnp.int32))
        if not self.is_initializing():
            count.value += 1
        return x + count.value


class ReadsMutability(nn.Module):
    """Updates its average wherever it is allowed to, as library code does."""

    @nn.compact
    def __call__(self, x):
        mean = self.variable("average", "mean", jnp.zeros, x.shape[-1:])
        if self.is_mutable_collection("average") and not self.is_initializing():
            mean.value = 0.5 * mean.value + x.mean(0)
        return x - mean.value


@pytest.mark.law("C3")
def test_three_training_steps_leave_the_state_that_raw_apply_leaves(raw_apply, same_results):
    layer = FlaxLayer(Normed(), seed=0)
    layer(X)
    for scale in (1.0, 2.0, 3.0):
        x = jnp.asarray(X * scale)
        outputs, updates = raw_apply(layer, x, training=True, flags=[("train", True)])
        same_results(layer(x, training=True), outputs)
        same_results(layer.flax_variables()["batch_stats"], updates["batch_stats"])


@pytest.mark.law("C3")
def test_inference_leaves_state_alone_that_need_not_change(same_bits):
    for module, name in ((Normed(), "batch_stats"), (ReadsMutability(), "average")):
        layer = FlaxLayer(module)
        layer(X, training=True)
        before = layer.flax_variables()[name]
        layer(X)
        same_bits(layer.flax_variables()[name], before)
        assert any(np.asarray(leaf).any() for leaf in jax.tree.leaves(before))


@pytest.mark.law("C3")
@pytest.mark.parametrize(("when", "counted"), [("always", 3), ("training", 1), ("never", 0)])
def test_state_updates_says_when_changes_are_kept(when, counted):
    layer = FlaxLayer(Counter(), state_updates=when)
    layer(X), layer(X), layer(X, training=True)
    assert int(layer.flax_variables()["counts"]["calls"]) == counted


@pytest.mark.law("C3")
def test_a_decode_cache_advances_as_in_raw_apply(same_results):
    module = nn.MultiHeadDotProductAttention(2, qkv_features=4, decode=True)
    layer = FlaxLayer(module)
    layer.build((2, 3, 4))
    variables = layer.flax_variables()
    step = jax.jit(lambda v, x: module.apply(v, x, mutable=["cache"]))
    for position in range(3):
        token = jnp.full((2, 1, 4), position + 1.0)
        expected, updates = step(variables, token)
        variables = {**variables, **updates}
        same_results(layer(token), expected)
    same_results(layer.flax_variables()["cache"], variables["cache"])


class Grows(nn.Module):
    @nn.compact
    def __call__(self, x):
        last = self.variable("state", "last", jnp.zeros_like, x)
        first = self.variable("state", "first", jnp.zeros, ())
        first.value = x.sum()
        last.value = x
        return x


@pytest.mark.law("C4")
def test_state_of_another_shape_is_refused_and_nothing_is_written(same_bits):
    layer = FlaxLayer(Grows(), name="grows")
    layer(X)
    before = layer.flax_variables()
    with pytest.raises(StateStructureError) as caught:
        layer(np.ones((3, 4), np.float32))
    assert str(caught.value).splitlines() == [
        "Layer 'grows' (module Grows) returned state of another form at 'state/last'.",
        "Expected: float32[2,4]",
        "Found: float32[3,4]",
        "Fix: Keep the shape and dtype of state fixed, or make the collection transient with "
        "collections=CollectionPolicy(transient=(...)).",
        "Law: C4",
    ]
    same_bits(layer.flax_variables(), before)


@pytest.mark.law("C7")
def test_sown_values_are_returned_when_asked_for(raw_apply, same_bits):
    layer = FlaxLayer(Normed(), return_sown=("intermediates",))
    layer(X)
    outputs, sown = layer(X)
    expected, updates = raw_apply(layer, X)
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)
    same_bits(sown, {"intermediates": updates["intermediates"]})


@pytest.mark.law("C7")
def test_sown_values_come_out_of_a_functional_model():
    layer = FlaxLayer(Normed(), return_sown=("intermediates",))
    inputs = keras.Input((4,))
    _, sown = layer(inputs)
    model = keras.Model(inputs, sown["intermediates"]["hidden"][0])
    kernel, bias = (layer.flax_variables()["params"]["Dense_0"][n] for n in ("kernel", "bias"))
    np.testing.assert_allclose(model(X), X @ np.asarray(kernel) + np.asarray(bias), rtol=1e-5)


@pytest.mark.law("C7")
def test_sown_values_stand_on_the_layer_after_an_eager_call():
    layer = FlaxLayer(Normed())
    layer(X)
    assert sorted(layer.sown) == ["intermediates", "losses"]
    assert len(layer.sown["intermediates"]["hidden"]) == 1
    layer(X)
    assert len(layer.sown["intermediates"]["hidden"]) == 1


@pytest.mark.law("C7")
def test_loss_collections_become_losses_of_the_layer_and_train(raw_apply):
    layer = FlaxLayer(Normed())
    layer(X)
    _, updates = raw_apply(layer, X)
    total = sum(float(leaf) for leaf in jax.tree.leaves(updates["losses"]))
    layer(X)
    assert len(layer.losses) == 1
    np.testing.assert_allclose(layer.losses[0], total, rtol=1e-6)
    model = keras.Sequential([layer])
    model.compile("sgd", lambda y, p: 0.0 * p[:, 0])
    np.testing.assert_allclose(model.evaluate(X, X, verbose=0), total, rtol=1e-6)


@pytest.mark.law("C7")
def test_which_collections_count_as_losses_is_an_argument():
    layer = FlaxLayer(Normed(), losses=())
    layer(X)
    assert layer.losses == []


@pytest.mark.law("C2")
def test_a_policy_overrides_roles_by_name():
    class Adapted(nn.Module):
        @nn.compact
        def __call__(self, x):
            low = self.variable("lora", "a", lambda: jnp.ones((4, 3)))
            return nn.Dense(3)(x) + x @ low.value

    layer = FlaxLayer(
        Adapted(), collections=CollectionPolicy(trainable=("lora",), state=("params",)), name="net"
    )
    model = keras.Sequential([layer])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :3], verbose=0)
    paths = [variable.path for variable in layer.trainable_variables]
    assert [path.split("net/")[1] for path in paths] == ["lora/a"]
    assert not (np.asarray(layer.flax_variables()["lora"]["a"]) == 1.0).any()


@pytest.mark.law("C2")
def test_a_decode_module_that_sows_keeps_what_it_sows_out_of_its_state():
    class Decodes(nn.Module):
        @nn.compact
        def __call__(self, x):
            y = nn.MultiHeadDotProductAttention(2, qkv_features=4, decode=True)(x)
            self.sow("aux", "norm", (y**2).sum())
            return y

    layer = FlaxLayer(Decodes())
    layer.build((2, 3, 4))
    assert set(layer.flax_variables()) == {"params", "cache"}
    token = np.ones((2, 1, 4), np.float32)
    layer(token), layer(token)
    assert len(layer.sown["aux"]["norm"]) == 1


@pytest.mark.law("W2")
def test_the_whole_result_of_init_can_be_loaded_with_what_it_sowed(same_bits):
    layer = FlaxLayer(Normed())
    layer(X)
    variables = Normed().init(jax.random.key(3), X)
    assert "losses" in variables
    layer.load_flax_variables(variables)
    same_bits(layer.flax_variables()["params"], variables["params"])
