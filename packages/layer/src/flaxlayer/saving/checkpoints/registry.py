"""Variables from the files that other programs write, in any format that is registered (W2)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from flaxlayer.extras import missing_extra
from flaxlayer.saving.checkpoints.array_trees import find_odd_leaf
from flaxlayer.saving.checkpoints.checkpoint_format import (
    Check,
    CheckpointFormat,
    NotOfFormatError,
)
from flaxlayer.saving.checkpoints.formats import FORMATS
from flaxlayer.typing import PyTree
from flaxlayer_core import FlaxLayerError, ReadVariablesError, explain

__all__ = ["read_fitting", "read_variables", "state_variables"]

_TRAINING_ONLY = frozenset({"step", "opt_state", "tx", "apply_fn"})


def read_variables(path: str | os.PathLike[str]) -> dict[str, PyTree]:
    """Reads a tree of variables for `FlaxLayer.load_flax_variables` (W2).

    Nothing in a file is executed: msgpack, safetensors and Orbax hold arrays and names. What is
    read is in proportion to the size of the file (S3): arrays that Orbax packed may be 64 MiB, and
    a hundred times as large as the directory; `load_flax_variables`, which knows the shapes that a
    layer has, reads what fits them, however tightly it is packed.

    Args:
        path: A directory that Orbax wrote (`StandardCheckpointer`, `PyTreeCheckpointer`, or the
            item of one step of a `CheckpointManager`), a `.safetensors` file whose keys join names
            with `/` or `.`, or a file of `flax.serialization.to_bytes`.

    Returns:
        Collections of NumPy arrays; of a stored `TrainState` its variables, without the optimizer.

    Raises:
        ReadVariablesError: If it is none of these, or holds no tree of arrays.
        ImportExtraError: If the reader is not installed.

    Example:

    ```python
    >>> import pathlib, tempfile
    >>> import flax.linen as nn, jax, jax.numpy as jnp
    >>> from flax import serialization
    >>> from flaxlayer.saving.checkpoints.registry import read_variables
    >>> variables = nn.Dense(2).init(jax.random.key(0), jnp.ones((1, 3)))
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "dense.msgpack"
    >>> _ = file.write_bytes(serialization.to_bytes(variables))
    >>> jax.tree.map(jnp.shape, read_variables(file))
    {'params': {'bias': (2,), 'kernel': (3, 2)}}

    ```
    """
    return read_fitting(path, None)


def read_fitting(path: str | os.PathLike[str], check: Check | None) -> dict[str, PyTree]:
    """Reads variables of which some formats say first what they are (S3).

    Args:
        path: As for `read_variables`.
        check: Gets the tree with `ShapeDtypeStruct` in the place of arrays before any is read;
            raises an error where they do not fit, and says which are divided among devices (D3).

    Returns:
        As `read_variables`.
    """
    place = Path(path)
    if not place.exists():
        raise _unreadable(place, "an existing file or directory", "nothing at this path")
    variables = _read(place, _format_of(place), check)
    odd = find_odd_leaf(variables)
    if odd:
        raise _unreadable(place, "a tree of arrays of numbers", odd)
    return variables


def state_variables(tree: Mapping[str, PyTree]) -> dict[str, PyTree]:
    """Returns the collections in the state dict of a `TrainState`, or a tree as it is.

    Args:
        tree: Collections by name, or the fields of a `TrainState` by name. Its `params` are the
            collection of that name, or the whole tree of variables; other fields that are
            mappings, such as `batch_stats`, are collections.

    Returns:
        Collections by name.

    Example:

    ```python
    >>> state_variables({"step": 3, "params": {"params": {"bias": 1.0}}, "opt_state": {}})
    {'params': {'bias': 1.0}}

    ```
    """
    if "params" not in tree or "opt_state" not in tree:
        return dict(tree)
    inner = tree["params"]
    variables = dict(inner) if isinstance(inner, Mapping) and "params" in inner else {}
    variables.setdefault("params", inner)
    for name, value in tree.items():
        if name not in _TRAINING_ONLY and isinstance(value, Mapping):
            variables.setdefault(name, value)
    return variables


def _format_of(path: Path) -> CheckpointFormat:
    for known in reversed(FORMATS):
        if known.claims(path):
            return known
    raise _unreadable(path, "a file or a directory", "something else at this path")


def _read(path: Path, known: CheckpointFormat, check: Check | None) -> dict[str, PyTree]:
    try:
        return known.read(path, partial(_collections, path), check)
    except FlaxLayerError:
        raise
    except ImportError as error:
        failed = f"Cannot read variables from {str(path)!r}."
        raise missing_extra(failed, known.extra, known.extra, "W2") from error
    except NotOfFormatError as error:
        raise _unreadable(path, error.expected, error.found) from error
    except Exception as error:  # the readers raise whatever the bytes lead them to
        raise _unreadable(path, known.contents, explain(error)) from error


def _collections(path: Path, tree: PyTree) -> dict[str, PyTree]:
    if isinstance(tree, Mapping) and all(isinstance(key, str) for key in tree):
        return state_variables(tree)
    raise _unreadable(path, "a tree of variables: {'params': {...}}", _describe(tree))


def _describe(tree: PyTree) -> str:
    keys = tree if isinstance(tree, Mapping) else ()
    return f"{type(tree).__name__} {sorted(map(str, keys))[:8] or ''}".strip()


def _unreadable(path: Path, expected: str, found: str) -> ReadVariablesError:
    return ReadVariablesError(
        f"Cannot read variables from {str(path)!r}.",
        expected=expected,
        found=found[:300],
        fix=f"Save with {_writers()}, and pass that path.",
        law="W2",
    )


def _writers() -> str:
    *others, last = (known.writer for known in FORMATS)
    return ", ".join((*others, f"or {last}"))
