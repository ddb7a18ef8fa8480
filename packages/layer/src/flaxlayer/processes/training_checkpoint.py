"""All that training goes on from, in shards, so that a resumed run is the same run (D3)."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import jax
import keras
import numpy as np

from flaxlayer.counts import check_count
from flaxlayer.extras import require
from flaxlayer.typing import Array, Json
from flaxlayer.weights.variables import replace_values
from flaxlayer_core import (
    CallArgumentError,
    FlaxLayerError,
    ReadUnbuiltError,
    ReadVariablesError,
    explain,
    list_some,
    shorten,
)

__all__ = ["TrainingCheckpoint"]

# The number of a name that Keras made unique, in a path or in an optimizer's name for one.
_COUNT = re.compile(r"_\d+(?=[/_]|$)")

# Under an owner and a name: the number here and the number in the checkpoint.
Counts: TypeAlias = dict[tuple[str, str], set[tuple[int, int]]]


class TrainingCheckpoint(keras.callbacks.Callback):
    """Keeps what training goes on from, at the ends of epochs, and puts it back (D3).

    That is every variable of the model, with the seeds of its layers; every variable of the
    optimizer, with its count of steps and its learning rate; and the state of NumPy's global
    generator, from which `fit(shuffle=True)` takes the order of arrays. A run that is resumed at an
    epoch then gives the numbers of one that was not interrupted, dropout included.

    Orbax writes it, asynchronously, each process its own shards, and gives a checkpoint its name
    when it is whole. It is read in shards, too, under any distribution and by any number of
    processes; all processes call `restore`. What else a program changes while it trains (an order
    of data of its own, the memory of other callbacks) is its own to keep.

    Variables are matched by their order, and compared by path, shape and dtype; the number that
    Keras counts with in a name (`flax_layer_1`) may be another, since it goes on counting.

    Args:
        directory: Where to, one for a run; all processes see it.
        every: After how many epochs, 1 or more.
        keep: How many checkpoints stay, 1 or more.

    Raises:
        ImportExtraError: If Orbax is not installed.
        CallArgumentError: If `every` or `keep` is no such number.
        NotADirectoryError: If a file has the name of the directory.

    Example:

    ```python
    >>> import tempfile
    >>> import flax.linen as nn, keras, numpy as np
    >>> from flaxlayer import FlaxLayer, TrainingCheckpoint
    >>> model = keras.Sequential([keras.Input((3,)), FlaxLayer(nn.Dense(1))])
    >>> model.compile("sgd", "mse")
    >>> checkpoint = TrainingCheckpoint(tempfile.mkdtemp())
    >>> first = checkpoint.restore(model)  # 0: there is none yet
    >>> history = model.fit(
    ...     np.ones((8, 3)), np.ones((8, 1)), epochs=2, verbose=0,
    ...     initial_epoch=first, callbacks=[checkpoint],
    ... )
    >>> checkpoint.restore(model)
    2

    ```
    """

    def __init__(self, directory: str | os.PathLike[str], *, every: int = 1, keep: int = 2) -> None:
        require("orbax", "orbax", "A TrainingCheckpoint")
        import orbax.checkpoint as ocp

        super().__init__()
        self._every, self._ocp = _count(every, "every"), ocp
        self._place = Path(directory).absolute()
        if self._place.exists() and not self._place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self._place))
        options = ocp.CheckpointManagerOptions(max_to_keep=_count(keep, "keep"), create=True)
        self._manager = ocp.CheckpointManager(self._place, options=options)
        self._order: tuple[Any, ...] | None = None

    def restore(self, model: keras.Model) -> int:
        """Puts the latest checkpoint back into a model.

        Args:
            model: A built model, made by the code that made the saved one.

        Returns:
            How many epochs it had been trained for: the `initial_epoch` of `fit`; 0 where there is
            no checkpoint.

        Raises:
            CallArgumentError: If it is no model.
            ReadUnbuiltError: If it is not built.
            ReadVariablesError: If the checkpoint is of another model, or damaged; the model is then
                as it was.
        """
        self._manager.wait_until_finished()
        epoch = self._manager.latest_step()
        if epoch is None:
            return 0
        held = _variables(model)
        try:
            self._read(epoch, held)
        except FlaxLayerError:
            raise
        except Exception as error:  # Orbax raises whatever the files lead it to
            raise self._refusal("a complete checkpoint", explain(error)) from error
        return int(epoch)

    def on_train_begin(self, logs: Mapping[str, Json] | None = None) -> None:
        """Lets the order of data go on where it was."""
        del logs
        if self._order is not None:
            np.random.set_state(self._order)
            self._order = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Json] | None = None) -> None:
        """Saves, in the background."""
        del logs
        if (epoch + 1) % self._every == 0:
            held, args = _variables(self.model), self._ocp.args
            about = {"variables": _described(held), "order": _plain_order()}
            state = {str(index): _value(variable) for index, variable in enumerate(held)}
            self._manager.save(
                epoch + 1,
                args=args.Composite(state=args.StandardSave(state), about=args.JsonSave(about)),
            )

    def on_train_end(self, logs: Mapping[str, Json] | None = None) -> None:
        """Waits until all is written."""
        del logs
        self._manager.wait_until_finished()

    def _read(self, epoch: int, held: Sequence[keras.Variable]) -> None:
        args = self._ocp.args
        about = self._manager.restore(epoch, args=args.Composite(about=args.JsonRestore()))["about"]
        differences = _differences(_described(held), about["variables"])
        if differences:
            found = list_some(differences, "; ", most=20, longest=200)
            raise self._refusal("the variables of this model", found)
        order = _order_of(about["order"])
        forms = {str(index): _form(variable) for index, variable in enumerate(held)}
        restored = self._manager.restore(
            epoch, args=args.Composite(state=args.StandardRestore(forms))
        )["state"]
        replace_values((variable, restored[str(index)]) for index, variable in enumerate(held))
        self._order = order

    def _refusal(self, expected: str, found: str) -> ReadVariablesError:
        return ReadVariablesError(
            f"Cannot resume from {str(self._place)!r}.",
            expected=expected,
            found=found,
            fix="Make and compile the model as it was when it was saved, or take another "
            "directory.",
            law="D3",
        )


_count = partial(check_count, owner="A TrainingCheckpoint", law="D3")


def _variables(model: keras.Model) -> list[keras.Variable]:
    if not isinstance(model, keras.Model):
        raise CallArgumentError(
            "A TrainingCheckpoint keeps what a model trains.",
            expected="a keras.Model",
            found=shorten(model),
            fix="Give the model that `fit` is called on; layer.load_flax_variables reads a layer.",
            law="D3",
        )
    if not model.built:
        raise ReadUnbuiltError(
            f"Model {model.name!r} is not built: there is nothing to keep or put back.",
            expected="a model with variables",
            found="a model that was never called",
            fix="Call it on a batch, or give it a keras.Input.",
            law="D3",
        )
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return list(_of_model(model))
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    return [*_of_model(model), *optimizer.variables]


def _of_model(model: keras.Model) -> list[keras.Variable]:
    # Metrics begin anew at each epoch.
    metrics = set(map(id, model.metrics_variables))
    return [variable for variable in model.variables if id(variable) not in metrics]


def _described(variables: Sequence[keras.Variable]) -> list[list[Json]]:
    return [[v.path, list(v.shape), str(v.dtype)] for v in variables]


def _differences(held: Sequence[list[Json]], stored: Sequence[list[Json]]) -> list[str]:
    if len(held) != len(stored):
        return [f"{len(stored)} variables, not {len(held)}"]
    counts: Counts = {}
    return [
        f"{there} for {here}"
        for here, there in zip(held, stored, strict=True)
        if here[1:] != there[1:] or not _differ_in_counts(here[0], there[0], counts)
    ]


def _differ_in_counts(ours: str, theirs: str, counts: Counts) -> bool:
    """Says whether two paths differ in what Keras counts alone: numbers that keep their order."""
    if _COUNT.sub("", ours) != _COUNT.sub("", theirs):
        return False
    owner = ""
    for here, there in zip(ours.split("/"), theirs.split("/"), strict=True):
        name, number = _counted(here)
        pairs = counts.setdefault((owner, name), set())
        pair = (number, _counted(there)[1])
        if pair not in pairs and not all(_in_one_order(pair, other) for other in pairs):
            return False
        pairs.add(pair)
        owner = f"{owner}/{here}"
    return True


def _in_one_order(pair: tuple[int, int], other: tuple[int, int]) -> bool:
    (a, b), (c, d) = pair, other
    return (a > c, a < c) == (b > d, b < d)


def _counted(name: str) -> tuple[str, int]:
    base, _, number = name.rpartition("_")
    return (base, int(number)) if base and number.isdecimal() else (name, 0)


def _value(variable: keras.Variable) -> Array:
    value = variable.value
    return value if isinstance(value, jax.Array) else variable.numpy()


def _form(variable: keras.Variable) -> Array:
    value = variable.value
    if isinstance(value, jax.Array):
        return jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=value.sharding)
    return np.empty(variable.shape, variable.numpy().dtype)


def _plain_order() -> list[Json]:
    name, keys, *rest = np.random.get_state()
    return [name, np.asarray(keys).tolist(), *rest]


def _order_of(plain: Sequence[Json]) -> tuple[Any, ...]:
    name, keys, *rest = plain
    return (name, np.asarray(keys, np.uint32), *rest)
