"""What Keras has of a weights file for a layer, as HDF5 has it (S3, W4).

Checked with the versions of docs/versions.md (tests/compat/test_keras_stores.py).

- `H5IOStore._h5_entry_group` (`H5Entry.group` before Keras 3.10), and of `ShardedH5IOStore`
  `current_shard_filenames`, `current_shard_path`, `h5_file`, `_get_h5_file`, `_switch_h5_file` and
  `_restore_h5_file`: what Keras hands to `load_own_variables` reads a whole array, and not what the
  file says of it (S3); and where a shard cannot be opened it is left without a file (W4).
- `H5Entry.h5_file`, before Keras 3.10: each place of a file has an entry of its own (W4).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flaxlayer.typing import KerasStore

__all__ = ["h5_groups", "is_elsewhere", "reopen", "shared_part"]


def h5_groups(store: KerasStore) -> Iterator[Any]:
    """Yields the groups of HDF5 behind what Keras has of a file for a layer, one a file.

    Args:
        store: What `load_own_variables` gets; anything else has none.
    """
    group = getattr(store, "_h5_entry_group", getattr(store, "group", None))
    if group is None:
        return
    yield group
    others = [n for n in getattr(store, "current_shard_filenames", ()) if n != _open_shard(store)]
    try:
        for name in others:
            store._switch_h5_file(name, mode="r")
            yield store._h5_entry_group
    finally:
        if others:
            store._restore_h5_file()


def shared_part(store: KerasStore) -> Any:
    """Returns what is one object in all places of a file where Keras looks for a layer.

    Args:
        store: What `load_own_variables` gets; Keras 3.10 and later give the same for all places.
    """
    return store.h5_file if hasattr(store, "group") else store


def is_elsewhere(store: KerasStore, group: Any) -> bool:
    """Tells whether a group of HDF5 is of another file than what Keras has opened."""
    return getattr(getattr(group, "file", None), "filename", None) not in (
        None,
        getattr(store.h5_file, "filename", None),
    )


def reopen(store: KerasStore) -> None:
    """Opens what Keras has of a file again, where it could not go on to a further shard.

    A store with no open file is false, and Keras takes the next layer from it for loaded.
    """
    if getattr(store, "current_shard_path", None) is not None and not store:
        store.h5_file = store._get_h5_file(store.current_shard_path)


def _open_shard(store: KerasStore) -> str:
    return str(store.current_shard_path.name)
