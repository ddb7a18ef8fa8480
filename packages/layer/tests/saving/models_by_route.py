"""Models of every structure and setting, and the routes by which they come back."""

import copy
import functools
import pickle

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import keras
import numpy as np

from flaxlayer import CollectionPolicy, FlaxLayer

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
