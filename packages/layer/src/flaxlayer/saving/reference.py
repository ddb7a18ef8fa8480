"""Files of `keras.layers.FlaxLayer`, opened with this project's layer (W3)."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import keras

from flaxlayer.saving.archives import copy_archive
from flaxlayer.saving.fields import check_mapping, check_size, refuse
from flaxlayer.saving.names import find_known
from flaxlayer.typing import Json
from flaxlayer_core import DecodeModuleError, shorten

__all__ = ["is_reference_config", "load_reference_model", "reference_arguments"]

_LONGEST_NAME = 256
_OWN = {"module": "flaxlayer.layer", "registered_name": "flaxlayer>FlaxLayer"}


def load_reference_model(
    path: str | os.PathLike[str], custom_objects: Mapping[str, Json] | None = None
) -> Json:
    """Opens a `.keras` file that holds `keras.layers.FlaxLayer` layers, with `FlaxLayer` instead.

    The file stays as it is. Classes of modules are resolved by Keras's registry,
    `custom_objects`, and what this process handed to a layer or to `flaxlayer.register`; the
    reference stores a module through the module's own `get_config` and `from_config`.

    Args:
        path: A file that `model.save` wrote.
        custom_objects: Classes and functions by the name that the file has for them.

    Returns:
        The model.

    Raises:
        DecodeModuleError: If it is no such file, or names what is not known.
        MatchWeightsFileError: If its weights do not fit.

    Example:

    ```python
    >>> import os, pathlib, tempfile
    >>> os.environ["KERAS_BACKEND"] = "jax"  # doctest: +SKIP
    >>> import keras
    >>> from flaxlayer import load_reference_model
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "model.keras"
    >>> keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(file)
    >>> load_reference_model(file).output_shape
    (None, 2)

    ```
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model.keras"
        copy_archive(Path(path), copy, _edit)
        objects = None if custom_objects is None else dict(custom_objects)
        return keras.saving.load_model(copy, custom_objects=objects)


def _edit(content: bytes) -> bytes:
    config = json.loads(content.decode())
    if not isinstance(config, dict) or "class_name" not in config:
        raise ValueError("a configuration of no model")
    left: list[Json] = [config]
    while left:  # of any depth
        node = left.pop()
        if isinstance(node, dict):
            left.extend(node.values())
            if node.get("module") == "keras.layers" and node.get("class_name") == "FlaxLayer":
                node.update(_OWN)
        elif isinstance(node, list):
            left.extend(node)
    return json.dumps(config).encode()


def is_reference_config(config: Mapping[str, Json]) -> bool:
    """Tells whether a layer's configuration is that of `keras.layers.FlaxLayer`."""
    module = config.get("module")
    return isinstance(module, Mapping) and "class_name" in module


def reference_arguments(config: Mapping[str, Json]) -> dict[str, Json]:
    """Returns the module and the method that `keras.layers.FlaxLayer` stored (S2).

    Raises:
        DecodeModuleError: If a name is not known, or stands for something else.
    """
    return {"module": _module(config["module"]), "method": _method(config.get("method"))}


def _module(config: Json) -> Json:
    stored = check_mapping(config, "module")
    check_size(stored, "module")
    cls = find_known(*_names(stored, stored.get("class_name")))
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise _unknown("module", "a linen module class", stored.get("class_name"))
    inner = check_mapping(stored.get("config"), "module.config")
    module = cls.from_config(inner) if hasattr(cls, "from_config") else cls(**inner)
    if not isinstance(module, nn.Module):
        raise refuse("module", expected="a linen module", found=module)
    return module


def _method(config: Json) -> Json:
    if config is None or (isinstance(config, str) and len(config) <= _LONGEST_NAME):
        return config
    stored = check_mapping(config, "method")
    check_size(stored, "method")
    function = find_known(*_names(stored, stored.get("config")))
    if not callable(function) or isinstance(function, type):
        raise _unknown("method", "a function", stored.get("config"))
    return function


def _names(stored: Mapping[str, Json], name: object) -> tuple[Any, ...]:
    if not isinstance(name, str):
        return ()
    return (
        stored.get("registered_name"),
        f"{stored.get('module')}:{name}",
        f"flaxlayer>{name}",
        name,
    )


def _unknown(path: str, expected: str, name: object) -> DecodeModuleError:
    return DecodeModuleError(
        f"Cannot load the {path} that keras.layers.FlaxLayer stored.",
        expected=f"{expected} known to this process",
        found=shorten(name),
        fix="Import it and flaxlayer.register() it before loading, or pass it as custom_objects "
        f"under {shorten(name)}.",
        law="S2",
    )
