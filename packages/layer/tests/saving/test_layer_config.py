"""A layer keeps its settings and its module, which needs no boilerplate for it (S1, S4)."""

import copy
import enum
import functools
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import pytest

from flaxlayer import FlaxLayer
from flaxlayer_core import EncodeModuleError
from packages.layer.tests.saving.models_by_route import (
    SETTINGS,
    Coder,
    Net,
    X,
    by_file,
    functional,
    mixed_policy,
    scramble,
)


@pytest.mark.law("S1")
@pytest.mark.parametrize("make", SETTINGS.values(), ids=SETTINGS)
def test_a_layer_keeps_its_settings_weights_and_outputs_in_a_file(make, tmp_path, same_bits):
    model, inputs = make()
    scramble(model)
    loaded = by_file(model, tmp_path)
    before, after = model.layers[1], loaded.layers[1]
    assert after.get_config() == before.get_config()
    assert after.get_build_config() == before.get_build_config()
    assert after.module == before.module
    assert [v.path for v in after.trainable_variables] == [
        v.path for v in before.trainable_variables
    ]
    same_bits(after.flax_variables(), before.flax_variables())
    # Keras stores a tuple of outputs as a list.
    outputs = [jax.tree.leaves(each.predict(inputs, verbose=0)) for each in (loaded, model)]
    same_bits(*outputs)


@pytest.mark.law("S1")
def test_a_config_is_plain_json_and_stable():
    layer = FlaxLayer(Net(), seed=1)
    layer(X)
    config = layer.get_config()
    assert json.loads(json.dumps(config)) == config
    assert FlaxLayer.from_config(config).get_config() == config


@pytest.mark.law("S1")
def test_from_config_leaves_the_config_as_it_is():
    config = FlaxLayer(Net(), dtype="bfloat16").get_config()
    kept = copy.deepcopy(config)
    FlaxLayer.from_config(config)
    assert config == kept


class Mode(enum.Enum):
    FAST = "fast"


class Rich(nn.Module):
    act: object = nn.gelu
    kernel_init: object = nn.initializers.truncated_normal(0.1)
    dtype: object = jnp.bfloat16
    mode: Mode = Mode.FAST
    sizes: tuple = (4, 2)
    table: object = None
    inner: nn.Module = None

    @nn.compact
    def __call__(self, x):
        for size in self.sizes:
            x = self.act(nn.Dense(size, kernel_init=self.kernel_init, dtype=self.dtype)(x))
        return self.inner(x)


@pytest.mark.law("S1")
def test_fields_of_every_documented_kind_come_back_equal(tmp_path, same_bits):
    module = Rich(
        act=functools.partial(nn.leaky_relu, negative_slope=0.3),
        table={"axes": jax.sharding.PartitionSpec("data", None)},
        inner=nn.Sequential([nn.Dense(3), nn.relu]),
    )
    model, _ = functional(module)
    loaded = by_file(model, tmp_path)
    again = loaded.layers[1].module
    assert (again.mode, again.sizes, again.table["axes"]) == (
        Mode.FAST,
        (4, 2),
        jax.sharding.PartitionSpec("data", None),
    )
    same_bits(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.law("S1")
def test_a_value_that_cannot_be_stored_is_named_when_saving(tmp_path):
    model, _ = functional(Rich(act=lambda x: x, inner=nn.Dense(2)))
    with pytest.raises(EncodeModuleError, match=r"Rich\.act") as caught:
        model.save(tmp_path / "model.keras")
    assert "register" in caught.value.fix


@pytest.mark.law("S1")
def test_a_registered_function_as_method_is_stored_by_its_name(tmp_path, same_bits):
    def doubled(module, x, train=False):
        return 2 * module(x, train=train)

    model, _ = functional(method=doubled)
    with pytest.raises(EncodeModuleError):
        functional(method=lambda module, x: module(x))[0].save(tmp_path / "lambda.keras")
    scramble(model)
    loaded = by_file(model, tmp_path)
    same_bits(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.law("S1")
def test_a_mixed_policy_at_saving_holds_under_another_policy_at_loading(tmp_path):
    model, _ = mixed_policy()
    loaded = by_file(model, tmp_path)
    layer = loaded.layers[1]
    assert layer.dtype_policy.name == "mixed_bfloat16"
    assert loaded.predict(X, verbose=0).dtype == jnp.bfloat16
    assert layer.flax_variables()["params"]["Dense_0"]["kernel"].dtype == jnp.float32


@pytest.mark.law("S4")
def test_a_subclass_of_the_layer_comes_back_as_itself(tmp_path):
    @keras.saving.register_keras_serializable("flaxlayer_tests")
    class Own(FlaxLayer):
        def __init__(self, module, *, note="", **kwargs):
            super().__init__(module, **kwargs)
            self.note = note

        def get_config(self):
            return {**super().get_config(), "note": self.note}

    tensor = keras.Input((4,))
    layer = Own(Coder(), note="mine")
    layer.build((None, 4))
    model = keras.Model(tensor, [layer(tensor), layer.method("encode")(tensor)])
    loaded = by_file(model, tmp_path)
    assert type(loaded.layers[1]) is Own
    assert loaded.layers[1].note == "mine"
    assert loaded.layers[2].layer is loaded.layers[1]
