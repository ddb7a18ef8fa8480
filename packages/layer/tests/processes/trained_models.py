"""A model in training, alone or over several devices and processes: what both must agree on."""

import flax.linen as nn
import jax
import keras
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils

from flaxlayer import FlaxLayer
from packages.layer.tests.needs import KERAS

BATCH, STEPS = 8, 3
X = np.linspace(-1, 1, BATCH * STEPS * 4, dtype="float32").reshape(-1, 4) ** 3
Y = np.cos(3 * X[:, :1]).astype("float32")


class Net(nn.Module):
    """Sharded by its metadata; draws, keeps statistics of the batch, and sows a loss."""

    @nn.compact
    def __call__(self, x, training=False):
        named = nn.with_partitioning(nn.initializers.lecun_normal(), (None, "model"))
        x = nn.Dense(8, use_bias=False, kernel_init=named, name="body")(x)
        x = nn.BatchNorm(use_running_average=not training, momentum=0.9)(x)
        x = nn.Dropout(0.5, deterministic=not training)(nn.relu(x))
        self.sow("losses", "size", 0.01 * (x**2).sum())
        return nn.Dense(1, name="head")(x)


class NnxNet(nnx.Module):
    """The same without the loss, sharded by a layout map."""

    def __init__(self, *, rngs):
        self.body = nnx.Linear(4, 8, use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(8, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, x):
        return self.head(self.dropout(nnx.relu(self.norm(self.body(x)))))


MODULES = {"linen": Net(), "nnx": NnxNet}
CASES = (
    ("linen", "data"),
    ("linen", "model within"),
    ("linen", "model across"),
    ("nnx", "data"),
    ("nnx", "model across"),
)


def distribution(place):
    """Processes of two devices each: in which of them the parts of a weight are."""
    devices = np.array(keras.distribution.list_devices())
    if place == "data":
        return keras.distribution.DataParallel(devices=list(devices), auto_shard_dataset=False)
    of_each = devices.reshape(jax.process_count(), -1)
    ordered = of_each if place == "model within" else of_each.T
    mesh = keras.distribution.DeviceMesh(ordered.shape, ("batch", "model"), ordered.ravel())
    layouts = keras.distribution.LayoutMap(mesh)
    layouts[".*nnx/params/body/kernel"] = (None, "model")
    layouts[".*head/kernel"] = ("model", None)
    return keras.distribution.ModelParallel(
        layout_map=layouts, batch_dim_name="batch", auto_shard_dataset=False
    )


def rows(array, place):
    """What this process gives of each batch: its part, or all where it has each part's devices."""
    if place in (None, "model across"):
        return array
    parts = array.reshape(-1, jax.process_count(), BATCH // jax.process_count(), *array.shape[1:])
    return parts[:, jax.process_index()].reshape(-1, *array.shape[1:])


def new_model(kind, *, optimizer=None):
    layer = FlaxLayer(MODULES[kind], seed=3, name=kind)
    model = keras.Sequential([keras.Input((4,)), layer], name="model")
    optimizer = optimizer or keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def whole(array):
    """An array as one of NumPy, wherever its parts are."""
    if not array.is_fully_addressable and not array.is_fully_replicated:
        return multihost_utils.process_allgather(array, tiled=True)
    return np.asarray(array)


def weights_of(model, variables=None):
    known = model.variables if variables is None else variables
    metrics = set(map(id, model.metrics_variables))
    return {weight.path: whole(weight.value) for weight in known if id(weight) not in metrics}


def trained(kind, place):
    """What training gives: losses of every way to train, and the values in the end."""
    keras.distribution.set_distribution(None if place is None else distribution(place))
    x, y = rows(X, place), rows(Y, place)
    size = len(x) // STEPS
    model = new_model(kind)
    fitted = model.fit(x, y, batch_size=size, epochs=2, shuffle=False, verbose=0).history
    found = {
        "fit": fitted["loss"],
        "fit mae": fitted["mae"],
        "evaluate": model.evaluate(x, y, batch_size=size, verbose=0),
        "train_on_batch": batches(model, x[:size], y[:size]),
        "custom step": own_steps(model, x[:size], y[:size]),
        "weights": weights_of(model),
        "divided": sorted(
            weight.path.split("/params/")[1]
            for weight in model.trainable_variables
            if not weight.value.is_fully_replicated
        ),
    }
    keras.distribution.set_distribution(None)
    return found


def batches(model, x, y):
    """Losses of `train_on_batch`, which fails under a distribution of Keras 3.14 by itself."""
    if KERAS < (3, 15):
        return []
    return [model.train_on_batch(x, y) for _ in range(2)]


def own_steps(model, x, y):
    """Losses of a hand-written step over the variables of the model."""
    known = keras.distribution.distribution()
    if known is not None:
        x, y = (
            jax.make_array_from_process_local_data(
                known.get_data_layout(array.shape).backend_layout, array
            )
            for array in (x, y)
        )

    @jax.jit
    def step(trainable, state, x, y):
        def loss_of(trainable):
            outputs, new, losses = model.stateless_call(
                trainable, state, x, training=True, return_losses=True
            )
            return ((outputs - y) ** 2).mean() + sum(losses), new

        (loss, state), slopes = jax.value_and_grad(loss_of, has_aux=True)(trainable)
        return loss, [v - 0.1 * s for v, s in zip(trainable, slopes, strict=True)], state

    trainable = [variable.value for variable in model.trainable_variables]
    state = [variable.value for variable in model.non_trainable_variables]
    losses = []
    for _ in range(2):
        loss, trainable, state = step(trainable, state, x, y)
        losses.append(float(loss))
    return losses


def dropped(place):
    """Which values dropout leaves, of a batch over all devices."""
    keras.distribution.set_distribution(None if place is None else distribution(place))
    layer = FlaxLayer(nn.Dropout(0.5, deterministic=False), seed=5)
    ones = np.ones((BATCH, 6), "float32")
    if place is not None:
        layout = keras.distribution.distribution().get_data_layout(ones.shape).backend_layout
        ones = jax.make_array_from_process_local_data(layout, rows(ones, place))
    outputs = whole(layer(ones, training=True))
    keras.distribution.set_distribution(None)
    return outputs


def train_all():
    """All of it, in each process."""
    found = {case: trained(*case) for case in CASES}
    return found, {place: dropped(place) for _, place in CASES}
