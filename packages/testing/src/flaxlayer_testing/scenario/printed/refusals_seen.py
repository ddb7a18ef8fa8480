"""What programs do to see a refusal: wrong values and files; they hold this source (§11)."""

from __future__ import annotations

import json
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import keras
import numpy as np

from flaxlayer_testing.render.raw_trees import is_array
from flaxlayer_testing.scenario.printed.held_values import copied

__all__ = ["fails", "other", "record", "refused", "spoil", "spoilt", "widened"]


def fails(act: Any) -> None:
    """Sees that something is refused, in any words."""
    try:
        act()
    except Exception:  # in any words
        return
    raise AssertionError("It was not refused.")


def record(layer: Any) -> Any:
    """Returns what a layer is: its configuration, its variables, their values."""
    try:
        config = json.dumps(layer.get_config(), sort_keys=True)
    except Exception as error:  # one that cannot be stored
        config = str(error)
    trained = [variable.path for variable in layer.trainable_variables]
    arrays = [keras.ops.convert_to_numpy(variable.value) for variable in layer.variables]
    pairs = zip(layer.variables, arrays, strict=True)
    values = {v.path: (id(v), array.tobytes()) for v, array in pairs}
    return config, trained, values, bool(layer.built)


def refused(layer: Any, act: Any) -> None:
    """Sees that something is refused by an error that explains it, and that nothing changed."""
    before = record(layer)
    try:
        act()
    except Exception as error:  # the words tell
        assert "\nLaw: " in str(error), f"not explained: {error!r}"
        assert record(layer) == before, "The refused act changed the layer."
        return
    raise AssertionError("It was not refused.")


def other(leaf: Any) -> Any:
    """Returns another value of the same form; what is no number stays."""
    inexact = jnp.issubdtype(leaf.dtype, jnp.inexact)
    return (np.asarray(leaf) * 0 + 3).astype(leaf.dtype) if inexact else leaf


def spoilt(variables: Any, kind: str) -> Any:
    """Returns variables with other values, of which some do not fit."""
    tree = copied(variables)
    name = sorted(tree)[0]
    if kind == "unknown":
        moved = jax.tree.map(other, tree)
        return {**moved, name: {**moved[name], "no_such_variable": np.ones(2, np.float32)}}
    found, structure = jax.tree.flatten(tree)
    whole = [n for n, leaf in enumerate(found) if jnp.issubdtype(leaf.dtype, jnp.integer)]
    wrong = {"shape": range(len(found)), "last": [len(found) - 1], "fraction": whole[-1:]}[kind]
    for number, leaf in enumerate(found):
        found[number] = other(leaf)
        if number in wrong:
            shape = np.shape(leaf) if kind == "fraction" else (*np.shape(leaf), 7)
            found[number] = np.full(shape, 1.5 if kind == "fraction" else 1, np.float32)
    return jax.tree.unflatten(structure, found)


def spoil(path: str, kind: str) -> bool:
    """Changes the values of a weights file, and spoils its last variable, if there is one."""
    names: list[str] = []
    with h5py.File(path, "r+") as file:
        file.visititems(lambda name, item: names.append(name) if hasattr(item, "shape") else None)
        wanted = [name for name in names if "/vars/" in name and "seed_generator" not in name]
        if kind == "damaged":
            wanted = [name for name in wanted if file[name].size and file[name].ndim]
        if not wanted:
            return False
        *others, last = sorted(wanted)
        for name in others:
            if file[name].dtype.kind == "f":
                file[name][...] = file[name][()] * 0 + 3
        if kind == "extra":
            file[f"{last}_more"] = np.ones(2, np.float32)
            return True
        values, attributes = file[last][()], dict(file[last].attrs)
        shape, unlike = values.shape, np.float32(1) if values.dtype.kind == "c" else 1j
        del file[last]
        if kind == "damaged":  # bytes with other sums than theirs
            file.create_dataset(last, data=values, chunks=shape, fletcher32=True)
            written = values.tobytes() + b"\xff\x00\xff\x00"
            file[last].id.write_direct_chunk((0,) * values.ndim, written)
        elif kind != "missing":
            wrong = np.ones((*shape, 7), np.float32) if kind == "shape" else np.full(shape, unlike)
            file[last] = wrong
        if kind != "missing":
            file[last].attrs.update(attributes)
        return True


def widened(inputs: Any) -> Any:
    """Returns inputs that are twice as wide in their last dimension."""

    def one(leaf: Any) -> Any:
        wide = is_array(leaf) and np.ndim(leaf) > 1
        return np.concatenate([leaf, leaf], axis=-1) if wide else leaf

    return jax.tree.map(one, inputs)
