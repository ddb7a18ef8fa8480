"""A model in files, checkpoints and predictions, over several processes."""

import pathlib
from dataclasses import replace

import jax
import keras
import orbax.checkpoint as ocp
import pytest

from flaxlayer import TrainingCheckpoint, predict_in_processes, save_in_processes
from flaxlayer.processes.gathering import agree
from flaxlayer.saving.checkpoints import orbax, registry
from flaxlayer_core import FlaxLayerError
from packages.layer.tests.processes.trained_models import (
    STEPS,
    X,
    Y,
    distribution,
    new_model,
    rows,
    weights_of,
)

PLACES = ("model across", "model within", "data")


def fitted(folder, *, place=None, until=2):
    """A model that is trained, from a checkpoint on where there is one, in an order by chance."""
    keras.utils.set_random_seed(7)
    model = new_model("linen")
    checkpoint = TrainingCheckpoint(folder)
    x, y = rows(X, place), rows(Y, place)
    history = model.fit(
        x,
        y,
        batch_size=len(x) // STEPS,
        initial_epoch=checkpoint.restore(model),
        epochs=until,
        verbose=0,
        callbacks=[checkpoint],
    )
    return model, history.history["loss"]


def error_of(run):
    """The text of the error of ours that comes."""
    try:
        run()
    except FlaxLayerError as error:
        return str(error)
    raise AssertionError("nothing was refused")


def mine(process):
    """Rows of a process: no two have as many, nor a multiple of anything."""
    return X[7 * process : 7 * process + 5 + 2 * process]


def predicted(place, file):
    keras.distribution.set_distribution(distribution(place))
    model = new_model("linen")
    model.load_weights(file)
    x = mine(0 if place == "model across" else jax.process_index())
    return predict_in_processes(model, x, batch_size=3, verbose=0)


def loaded(place, file):
    keras.distribution.set_distribution(distribution(place))
    model = keras.models.load_model(file)
    return [*weights_of(model).values()], optimizer_of(model)


def optimizer_of(model):
    return [*weights_of(model, model.optimizer.variables).values()]


def reread(place, folder):
    """The values that a layer takes from Orbax, and how those were read that it divides."""
    keras.distribution.set_distribution(distribution(place))
    model = new_model("linen")
    layer, taken = model.layers[-1], []
    read = orbax.FORMAT.read

    def recorded(*arguments):
        tree = read(*arguments)
        taken.extend(jax.tree_util.tree_leaves_with_path(tree))
        return tree

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "FORMATS", (replace(orbax.FORMAT, read=recorded),))
        layer.load_flax_variables(folder)
    divided = {
        jax.tree_util.keystr(path): max(shard.data.size for shard in leaf.addressable_shards)
        for path, leaf in taken
        if isinstance(leaf, jax.Array) and not leaf.is_fully_replicated
    }
    return [*weights_of(model).values()], divided


def save_all(folder):
    """Saves a trained model in every way, and reads it under other distributions."""
    folder = pathlib.Path(folder)
    keras.distribution.set_distribution(distribution("model across"))
    model, losses = fitted(folder / "run", place="model across")
    broken = folder / "absent" / "model.keras"
    found = {"losses": losses, "values": [*weights_of(model).values()]}
    found["optimizer"] = optimizer_of(model)
    found["own"] = error_of(lambda: model.save(folder / f"own{jax.process_index()}.keras"))
    found["ending"] = error_of(lambda: save_in_processes(model, folder / "model.h5"))
    try:
        save_in_processes(model, broken)
    except (OSError, FlaxLayerError) as error:
        found["broken"] = type(error).__name__
    found["agreed"] = [agree(f"text {number}") for number in range(20)]
    found["other"] = agree(f"of process {jax.process_index()}")
    (folder / "files").mkdir(exist_ok=True)
    for name in ("model.keras", "model.weights.h5"):
        save_in_processes(model, folder / "files" / name)
    found["after"] = [*weights_of(model).values()]
    found["loaded"] = {place: loaded(place, folder / "files/model.keras") for place in PLACES}
    file = folder / "files/model.weights.h5"
    found["predicted"] = {place: predicted(place, file) for place in PLACES}
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "tree", model.layers[-1].flax_variables())
    found["reread"] = {place: reread(place, folder / "tree") for place in PLACES}
    for place in PLACES[1:]:
        keras.distribution.set_distribution(distribution(place))
        again = new_model("linen")
        epoch = TrainingCheckpoint(folder / "run").restore(again)
        found["resumed", place] = epoch, [*weights_of(again).values()], optimizer_of(again)
    return found
