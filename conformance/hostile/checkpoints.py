"""The routes of trees of variables: msgpack, safetensors, Orbax (W2)."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import serialization, traverse_util

from conformance.hostile.archives import check_whole, untouched
from conformance.hostile.checkpoint_changes import change_msgpack, change_orbax, change_safetensors
from conformance.hostile.modules import Net
from conformance.hostile.route import Route
from flaxlayer import FlaxLayer, read_variables

__all__ = ["ROUTES"]


def _layer() -> FlaxLayer:
    layer = FlaxLayer(Net(), name="net")
    layer.build((None, 4))
    return layer


def _tree() -> dict[str, Any]:
    tree = jax.tree.map(lambda leaf: np.asarray(leaf) + np.float32(1.5), _layer().flax_variables())
    return dict(tree)


def _make_msgpack(folder: Path) -> None:
    (folder / "net.msgpack").write_bytes(serialization.to_bytes(_tree()))
    state = {
        "step": 3,
        "params": _tree()["params"],
        "opt_state": {},
        "batch_stats": _tree()["batch_stats"],
    }
    (folder / "state.msgpack").write_bytes(serialization.msgpack_serialize(state))


def _make_safetensors(folder: Path) -> None:
    from safetensors.numpy import save_file

    save_file(traverse_util.flatten_dict(_tree(), sep="/"), folder / "net.safetensors")
    save_file(traverse_util.flatten_dict(_tree(), sep="."), folder / "dots.safetensors")


def _make_orbax(folder: Path) -> None:
    import orbax.checkpoint as ocp

    for name, packed in {"plain": False, "packed": True}.items():
        with ocp.PyTreeCheckpointer(use_ocdbt=packed) as checkpointer:
            checkpointer.save(folder.resolve() / name, _tree())


class _Layer:
    """The layer that variables are loaded into, made once in a process."""

    def __init__(self) -> None:
        self._known: FlaxLayer | None = None

    def __call__(self) -> FlaxLayer:
        self._known = self._known or _layer()
        untouched(self._known)
        return self._known


_shared = _Layer()


def _load(path: Path, rng: random.Random) -> Any:
    if rng.random() < 0.2:
        read_variables(path)
        return None
    layer = _shared()
    try:
        layer.load_flax_variables(path)
    except BaseException:
        if any(np.any(np.asarray(v.value) != 7.25) for v in layer.weights):
            check_whole([layer], refused=True)
        raise
    return None


ROUTES = (
    Route("msgpack", _make_msgpack, change_msgpack, _load, share=8),
    Route("safetensors", _make_safetensors, change_safetensors, _load, share=7),
    Route("orbax", _make_orbax, change_orbax, _load, share=3),
)
