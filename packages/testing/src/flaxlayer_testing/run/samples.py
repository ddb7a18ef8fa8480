"""A small zoo and a few faulty layers, for the command where no other list is given (T5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from flaxlayer import FlaxLayer
from flaxlayer_testing.errors import LoadTargetError
from flaxlayer_testing.oracle.roles import TRANSIENT
from flaxlayer_testing.run.expected import ExpectedFailure
from flaxlayer_testing.run.loading import load_object
from flaxlayer_testing.subject.layer import LayerFactory
from flaxlayer_testing.subject.subject import Subject

__all__ = ["ENTRIES", "FAULTS", "Fault", "Sample", "load_entries", "subject_of"]


@dataclass(frozen=True)
class Sample:
    """A module with inputs, and what it stands for.

    Attributes:
        name: Its name, unique in its list.
        make: Returns the module, its positional inputs and, optionally, its keyword arguments.
        covers: What it stands for, such as `"linen.Dense"`.
        known: Checks that are known to fail (T6).
        training_arg: The training argument where its name is not customary (A2).
        layer: Makes the layer under test.
        probe: A program for what no check of the list reaches; it raises where a law is broken.
    """

    name: str
    make: Callable[[], tuple[Any, ...]]
    covers: tuple[str, ...] = ()
    known: tuple[ExpectedFailure, ...] = ()
    training_arg: str | None = None
    layer: LayerFactory = FlaxLayer
    probe: Callable[[], None] | None = None


@dataclass(frozen=True)
class Fault:
    """A layer that is broken in one way; its healthy twin is `FlaxLayer`.

    Attributes:
        layer: The layer.
        check: The check that must catch it.
        error: The name of the error's class.
        message: A part of its message.
        budget: The most generated modules that a search may need to find it.
        framework: What the modules are of: `"linen"` or `"nnx"`.
    """

    layer: type[Any]
    check: str
    error: str
    message: str
    budget: int = 100
    framework: str = "linen"


class _Net(nn.Module):
    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(4)(x))
        return nn.Dropout(0.5, deterministic=not train)(x)


class NegatesOutputs(FlaxLayer):
    """Returns the outputs with the wrong sign."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the layer."""
        return jax.tree_util.tree_map(lambda leaf: -leaf, super().__call__(*args, **kwargs))


class LosesTraining(FlaxLayer):
    """Runs at inference, whatever it is asked for."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the layer."""
        return super().__call__(*args, **{**kwargs, "training": False})


def _features(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


_TOKENS = np.arange(6, dtype=np.int32).reshape(2, 3) % 5

ENTRIES = (
    Sample("Dense", lambda: (nn.Dense(3), (_features(2, 4),)), ("linen.Dense",)),
    Sample("Conv", lambda: (nn.Conv(3, (3, 3)), (_features(2, 4, 4, 2),)), ("linen.Conv",)),
    Sample("Embed", lambda: (nn.Embed(5, 3), (_TOKENS,)), ("linen.Embed",)),
    Sample("Net", lambda: (_Net(), (_features(4, 3),)), ("linen.BatchNorm", "linen.Dropout")),
)
"""The zoo of samples."""

FAULTS = (
    Fault(NegatesOutputs, "check_inference", "ParityError", "outputs in inference"),
    Fault(LosesTraining, "check_training", "ParityError", "outputs in training"),
)
"""The faulty samples."""


def load_entries(target: str | None, usual: str, samples: Iterable[Any]) -> tuple[str, list[Any]]:
    """Returns the entries of a provider.

    Args:
        target: `package.module:entries`, a list or a function that returns one; None for the usual
            one.
        usual: The provider to take if it can be imported.
        samples: The entries to take if not.

    Returns:
        The name of the provider, empty for the samples, and its entries.

    Raises:
        LoadTargetError: If a given provider cannot be imported.

    Example:

    ```python
    >>> name, entries = load_entries("flaxlayer_testing.run.samples:ENTRIES", "", ())
    >>> [entry.name for entry in entries]
    ['Dense', 'Conv', 'Embed', 'Net']

    ```
    """
    try:
        found = load_object(target or usual)
    except LoadTargetError:
        if target is not None:
            raise
        return "", list(samples)
    return target or usual, list(found() if callable(found) else found)


def subject_of(entry: Any, *, layer: LayerFactory | None = None, command: str = "") -> Subject:
    """Returns the subject of an entry of a zoo.

    Args:
        entry: A `Sample`, or what has its attributes `name` and `make` and any of the others.
        layer: Makes the layer under test; that of the entry if not given.
        command: The shell command that checks it again.

    Returns:
        The subject.
    """
    module, inputs, *arguments = entry.make()
    return Subject(
        module,
        tuple(inputs),
        arguments[0] if arguments else {},
        layer=layer if layer is not None else getattr(entry, "layer", FlaxLayer),
        training_arg=getattr(entry, "training_arg", None),
        transient=getattr(entry, "transient", TRANSIENT),
        name=entry.name,
        features=tuple(getattr(entry, "covers", ())),
        command=command,
    )
