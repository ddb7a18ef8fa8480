"""A model comes back whole by every route, and no module needs boilerplate for it (S1, S2, S4)."""

import copy
import enum
import functools
import json
import os
import pickle
import subprocess
import sys
import textwrap

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from flaxlayer import CollectionPolicy, FlaxLayer
from flaxlayer_core import EncodeModuleError

X = np.linspace(-1.0, 1.0, 12, dtype=np.float32).reshape(3, 4)
TOKENS = np.arange(6, dtype=np.int32).reshape(2, 3)


class Net(nn.Module):
    width: int = 4

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(self.width)(x)
        x = nn.BatchNorm(use_running_average=not train)(x)
        x = nn.Dropout(0.5, deterministic=not train)(x)
        self.sow("intermediates", "hidden", x)
        return nn.Dense(2)(x)


class Coder(nn.Module):
    def setup(self):
        self.inner = nn.Dense(3)
        self.outer = nn.Dense(4)

    def encode(self, x):
        return self.inner(x)

    def decode(self, z, scale: float = 1.0):
        return self.outer(z) * scale

    def __call__(self, x):
        return self.decode(self.encode(x))


class Scaled(nn.Module):
    @nn.compact
    def __call__(self, x, scale, mode="plain", *, enabled=False):
        y = nn.Dense(2)(x) * scale
        y = -y if mode == "negated" else y
        return nn.Dropout(0.5, deterministic=not enabled)(y)


@flax.struct.dataclass
class Pair:
    left: jax.Array
    right: jax.Array


class Joins(nn.Module):
    @nn.compact
    def __call__(self, pair, extra=None):
        joined = nn.Dense(2)(pair.left) + nn.Dense(2)(pair.right)
        return {"joined": joined, "extra": None if extra is None else extra["bias"]}


class Returns(nn.Module):
    @nn.compact
    def __call__(self, x):
        return Pair(nn.Dense(2)(x), x)


class Mixed(nn.Module):
    """Weights in several collections and dtypes."""

    @nn.compact
    def __call__(self, x):
        scale = self.variable("lora", "scale", jnp.ones, x.shape[-1:])
        count = self.variable("counts", "n", lambda: jnp.zeros((), jnp.int32))
        half = self.param("half", nn.initializers.ones, x.shape[-1:], jnp.bfloat16)
        if not self.is_initializing():
            count.value += 1
        return x * scale.value + half.astype(x.dtype) + nn.Dense(4)(x) + count.value


@keras.saving.register_keras_serializable("flaxlayer_tests")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.body = FlaxLayer(Net(), seed=3)
        self.heads = [keras.layers.Dense(2), FlaxLayer(nn.Dense(2))]

    def call(self, x, training=False):
        return [head(self.body(x, training=training)) for head in self.heads]


def functional(module=None, inputs=X, **kwargs):
    tensor = keras.Input(inputs.shape[1:], dtype=inputs.dtype.name)
    return keras.Model(tensor, FlaxLayer(module or Net(), **kwargs)(tensor)), inputs


def sequential():
    return keras.Sequential([keras.Input((4,)), FlaxLayer(Net()), keras.layers.ReLU()]), X


def lazy_sequential():
    model = keras.Sequential([FlaxLayer(Net())])
    model(X)
    return model, X


def subclassed():
    model = Subclassed()
    model(X)
    return model, X


def nested():
    inner, _ = functional()
    tensor = keras.Input((4,))
    outer = keras.Sequential([keras.Input((2,)), FlaxLayer(nn.Dense(3))])
    return keras.Model(tensor, outer(inner(tensor))), X


def several_inputs():
    left, right = keras.Input((4,), name="left"), keras.Input((1,), name="right")
    outputs = FlaxLayer(Scaled(), training_arg="enabled")(left, right)
    return keras.Model([left, right], outputs), [X, X[:, :1]]


def static_arguments():
    tensor = keras.Input((4,))
    layer = FlaxLayer(Scaled(), training_arg="enabled")
    return keras.Model(tensor, [layer(tensor, 2.0, mode="negated"), layer(tensor, 3.0)]), X


def dataclass_arguments():
    left, right = keras.Input((4,)), keras.Input((3,))
    outputs = FlaxLayer(Joins())(Pair(left, right), extra={"bias": right})
    return keras.Model([left, right], outputs["joined"]), [X, X[:, :3]]


def dataclass_outputs():
    tensor = keras.Input((4,))
    pair = FlaxLayer(Returns())(tensor)
    return keras.Model(tensor, [pair.left, pair.right]), X


def shared():
    """A layer and two of its methods in one graph."""
    tensor = keras.Input((4,))
    whole = FlaxLayer(Coder(), name="whole")
    outputs = whole(tensor)
    code = whole.method("encode", name="code")(tensor)
    return keras.Model(tensor, [outputs, whole.method("decode", name="back")(code, 2.0)]), X


def methods_alone():
    """Two methods whose layer is itself not in the graph."""
    tensor = keras.Input((4,))
    whole = FlaxLayer(Coder(), init_method="__call__")
    whole.build((None, 4))
    return keras.Model(tensor, whole.method("decode")(whole.method("encode")(tensor))), X


def frozen():
    model, inputs = functional()
    model.layers[1].freeze("params/Dense_0", "batch_stats/**/mean")
    return model, inputs


def mixed_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return functional()
    finally:
        keras.config.set_dtype_policy("float32")


STRUCTURES = {
    maker.__name__: maker
    for maker in (
        functional,
        sequential,
        lazy_sequential,
        subclassed,
        nested,
        several_inputs,
        static_arguments,
        dataclass_arguments,
        dataclass_outputs,
        shared,
        methods_alone,
    )
}
SETTINGS = {
    "frozen": frozen,
    "mixed_policy": mixed_policy,
    "explicit_dtype": functools.partial(functional, dtype="bfloat16"),
    "explicit_policy": functools.partial(functional, dtype=keras.DTypePolicy("mixed_float16")),
    "return_sown": functools.partial(functional, return_sown=("intermediates",)),
    "collection_policy": functools.partial(
        functional, Mixed(), collections=CollectionPolicy(trainable=("params", "lora"))
    ),
    "own_dtypes": functools.partial(functional, Mixed()),
    "training_arg": functools.partial(functional, training_arg="train"),
    "named_method": functools.partial(
        functional, Coder(), method="encode", init_method=Coder.__call__
    ),
    "seed": functools.partial(functional, seed=11),
    "state_updates": functools.partial(functional, state_updates="training"),
    "regularized": functools.partial(functional, activity_regularizer=keras.regularizers.L2(0.1)),
    "tokens": functools.partial(functional, nn.Embed(7, 2), TOKENS),
}


def scramble(model):
    """Gives every weight a value that no initializer gives."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if "float" in variable.dtype:
            variable.assign(rng.uniform(0.1, 1.0, variable.shape))


def by_file(model, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


def by_json(model, folder):
    loaded = keras.models.model_from_json(model.to_json())
    return _with_weights(model, loaded, folder)


def by_config(model, folder):
    loaded = type(model).from_config(model.get_config())
    return _with_weights(model, loaded, folder)


def _with_weights(model, loaded, folder):
    if not loaded.built:
        loaded(X)
    model.save_weights(folder / "model.weights.h5")
    loaded.load_weights(folder / "model.weights.h5")
    return loaded


def by_clone(model, folder):
    del folder
    loaded = keras.models.clone_model(model)
    if not loaded.built:
        loaded(X)
    loaded.set_weights(model.get_weights())
    return loaded


def by_copy(model, folder):
    del folder
    return copy.deepcopy(model)


def by_pickle(model, folder):
    del folder
    return pickle.loads(pickle.dumps(model))


ROUTES = {f.__name__: f for f in (by_file, by_json, by_config, by_clone, by_copy, by_pickle)}


@pytest.mark.law("S4")
@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES)
def test_a_model_of_any_structure_predicts_the_same_bits_by_every_route(
    make, route, tmp_path, same_bits
):
    model, inputs = make()
    scramble(model)
    loaded = route(model, tmp_path)
    assert len(loaded.weights) == len(model.weights)
    expected = model.predict(inputs, verbose=0)
    same_bits(loaded.predict(inputs, verbose=0), expected)
    assert not ({id(v) for v in model.weights} & {id(v) for v in loaded.weights})


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
def test_what_is_loaded_is_what_raw_apply_gives_with_the_loaded_variables(tmp_path):
    model, _ = functional()
    scramble(model)
    loaded = by_file(model, tmp_path)
    expected = Net().apply(loaded.layers[1].flax_variables(), X)
    np.testing.assert_allclose(loaded.predict(X, verbose=0), expected, rtol=1e-6)
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-6)


@pytest.mark.law("S4")
@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_layers_that_share_weights_share_them_after_every_route(route, tmp_path):
    model, _ = shared()
    loaded = route(model, tmp_path)
    whole = loaded.get_layer("whole")
    assert loaded.get_layer("code").layer is whole
    assert loaded.get_layer("back").layer is whole
    assert whole is not model.get_layer("whole")


@pytest.mark.law("S4")
def test_two_clones_of_one_model_do_not_share_with_each_other():
    model, _ = methods_alone()
    first, second = (keras.models.clone_model(model) for _ in range(2))
    assert first.layers[1].layer is first.layers[2].layer
    assert first.layers[1].layer is not second.layers[1].layer
    assert first.layers[1].layer is not model.layers[1].layer


@pytest.mark.law("S4")
def test_two_loads_of_one_file_do_not_share_with_each_other(tmp_path):
    model, _ = shared()
    model.save(tmp_path / "model.keras")
    first, second = (keras.models.load_model(tmp_path / "model.keras") for _ in range(2))
    assert first.get_layer("whole") is not second.get_layer("whole")
    assert second.get_layer("code").layer is second.get_layer("whole")


@pytest.mark.law("S4")
def test_training_goes_on_after_loading_as_if_nothing_had_happened(tmp_path, same_bits):
    def fit(model):
        model.fit(X, np.ones((3, 2), np.float32), epochs=2, shuffle=False, verbose=0)

    model, _ = functional(seed=5)
    model.compile(keras.optimizers.Adam(0.1), "mse")
    fit(model)
    loaded = by_file(model, tmp_path)
    # Keras stores no seed generator, of Dropout or any other layer: draws begin anew.
    assert loaded.layers[1].seed_generator.state.numpy().tolist() == [5, 0]
    loaded.layers[1].seed_generator.state.assign(model.layers[1].seed_generator.state.numpy())
    fit(model)
    fit(loaded)
    same_bits(loaded.get_weights(), model.get_weights())


@pytest.mark.law("S4")
@pytest.mark.parametrize("make_copy", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_layer_on_its_own_is_copied_and_pickled(make_copy, same_bits):
    layer = FlaxLayer(Net(), seed=1)
    layer(X)
    scramble(layer)
    copied = make_copy(layer)
    same_bits(copied.flax_variables(), layer.flax_variables())
    same_bits(copied(X), layer(X))
    copied.params["params"]["Dense_0"]["bias"].assign(jnp.zeros(4))
    assert layer.params["params"]["Dense_0"]["bias"].numpy().any()


class Unstorable:
    """Nothing tells how it is stored, but it can be copied."""

    def __init__(self, factor):
        self.factor = factor


class Scaling(nn.Module):
    settings: object
    train_only: object = None

    @nn.compact
    def __call__(self, x):
        return self.settings.factor * nn.Dense(2)(x)

    def doubled(self, x):
        return 2 * self(x)


@keras.saving.register_keras_serializable("flaxlayer_tests")
class Noted(FlaxLayer):
    def __init__(self, module, *, note="", **kwargs):
        super().__init__(module, **kwargs)
        self.note = note

    def get_config(self):
        return {**super().get_config(), "note": self.note}


@pytest.mark.law("S4")
@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("make_copy", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_layer_is_copied_with_an_object_that_no_file_can_hold(make_copy, built, same_bits):
    layer = Noted(Scaling(Unstorable(3.0)), note="mine", method="doubled", seed=1)
    if built:
        layer(X)
        scramble(layer)
    with pytest.raises(EncodeModuleError):
        layer.get_config()
    copied = make_copy(layer)
    assert (copied.built, copied.note, copied.name) == (built, "mine", layer.name)
    assert copied.module.settings.factor == 3.0
    same_bits(copied(X), layer(X))
    same_bits(copied.flax_variables(), layer.flax_variables())


@pytest.mark.law("S4")
def test_a_lambda_in_a_field_is_copied_and_not_pickled():
    layer = FlaxLayer(Scaling(Unstorable(3.0), lambda x: x))
    assert copy.deepcopy(layer).module.train_only is layer.module.train_only
    with pytest.raises(EncodeModuleError):
        pickle.dumps(layer)


@pytest.mark.law("S4")
def test_an_unbuilt_layer_is_copied_unbuilt():
    copied = copy.deepcopy(FlaxLayer(Net(), name="net"))
    assert (copied.built, copied.name, copied(X).shape) == (False, "net", (3, 2))


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


SECOND_PROCESS = """
    import sys
    import flax.linen as nn, keras, numpy as np
    import flaxlayer

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(x)

    Net.__module__ = "elsewhere"
    path, x, expected = sys.argv[1], np.load(sys.argv[2]), np.load(sys.argv[3])
    try:
        keras.models.load_model(path)
    except (flaxlayer.FlaxLayerError, TypeError) as error:
        text = str(error)
        assert "Net" in text and "flaxlayer.register" in text and "custom_objects" in text, text
    else:
        raise AssertionError("a class was resolved that nobody made known")
    by_objects = keras.models.load_model(path, custom_objects={"Net": Net})
    assert (by_objects.predict(x, verbose=0) == expected).all()
    flaxlayer.register(Net)
    by_name = keras.models.load_model(path)
    assert (by_name.predict(x, verbose=0) == expected).all()
"""


@pytest.mark.law("S2")
def test_a_second_process_needs_the_class_registered_or_in_custom_objects(tmp_path):
    script = textwrap.dedent(SECOND_PROCESS)
    (tmp_path / "load.py").write_text(script)
    model, _ = functional(_plain_net())
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", model.predict(X, verbose=0))
    files = [str(tmp_path / name) for name in ("load.py", "model.keras", "x.npy", "y.npy")]
    done = subprocess.run(
        [sys.executable, *files], env=os.environ.copy(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


def _plain_net():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(x)

    Net.__qualname__ = "Net"
    Net.__module__ = "elsewhere"
    return Net()
