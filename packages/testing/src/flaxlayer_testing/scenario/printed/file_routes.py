"""What programs save and load a layer by; they hold this source (S4, W3)."""

from __future__ import annotations

import copy
import pathlib
import pickle
import subprocess
import sys
import tempfile
from typing import Any

import jax
import keras

from flaxlayer import register
from flaxlayer_testing.scenario.printed.held_values import arrays_of, bits, copied, tensors

__all__ = ["again", "load_here", "loaded_elsewhere", "reloaded"]


def reloaded(model: Any, layer: Any, route: str) -> Any:
    """Returns the layer of a model that was made of another: by a file, JSON, a clone, a copy."""
    with keras.saving.custom_object_scope({type(layer).__name__: type(layer)}):
        made = again(model, route)
    return next(part for part in made.layers if isinstance(part, type(layer)))


def again(model: Any, route: str) -> Any:
    """Returns a model that was made of another."""
    if route == "file":
        with tempfile.TemporaryDirectory() as folder:
            model.save(f"{folder}/model.keras")
            return keras.models.load_model(f"{folder}/model.keras")
    if route in ("copy", "pickle"):
        return copy.deepcopy(model) if route == "copy" else pickle.loads(pickle.dumps(model))
    made = (
        keras.models.model_from_json(model.to_json())
        if route == "json"
        else keras.models.clone_model(model)
    )
    made.set_weights(model.get_weights())
    return made


def loaded_elsewhere(model: Any, arrays: Any, registered: bool) -> Any:
    """Returns what a model gives in a process that knows the definitions of this program alone."""
    definitions = pathlib.Path(__file__).read_text().partition("\n# The scenario.\n")[0]
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        given = jax.device_get(arrays), registered, keras.config.dtype_policy().name
        pathlib.Path(folder, "given").write_bytes(pickle.dumps(given))
        program = f"{definitions}\n{load_here.__name__}({folder!r})\n"
        subprocess.run([sys.executable, "-c", program], check=True)
        return pickle.loads(pathlib.Path(folder, "found").read_bytes())


def load_here(folder: str) -> None:
    """Loads a saved model, and writes what it gives and what its layer had before."""
    arrays, registered, policy = pickle.loads(pathlib.Path(folder, "given").read_bytes())
    keras.config.set_dtype_policy(policy)
    kinds = [globals()[name] for name in ("Model", "Side", "Record") if name in globals()]
    known = [globals()["Layer"], *(() if registered else kinds)]
    for kind in kinds if registered else ():
        register(kind)
    custom = {kind.__name__: kind for kind in known}
    model = keras.models.load_model(f"{folder}/model.keras", custom_objects=custom)
    layer = next(part for part in model.layers if hasattr(part, "flax_variables"))
    variables = copied(layer.flax_variables())
    outputs = [bits(leaf) for leaf in arrays_of(model(tensors([*arrays]), training=False))]
    pathlib.Path(folder, "found").write_bytes(pickle.dumps((outputs, variables)))
