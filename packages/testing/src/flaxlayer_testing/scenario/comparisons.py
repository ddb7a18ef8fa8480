"""Comparisons of what a layer holds, carries and refuses with what the laws say (T9)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from flaxlayer_core import FlaxLayerError
from flaxlayer_testing.errors import KeepLawError
from flaxlayer_testing.subject.layer import seed_state

__all__ = ["compare_carried", "compare_seed", "compare_trained", "is_explained", "unexplained"]


def compare_seed(layer: Any, expected: list[int], when: str) -> None:
    """Compares the state of a seed generator with a seed and a number of draws (R2).

    Args:
        layer: A built layer.
        expected: The seed, and how many calls have drawn from it.
        when: After what, for messages.

    Raises:
        KeepLawError: If it is another.
    """
    found = np.asarray(seed_state(layer)).tolist()
    if found != expected:
        raise KeepLawError(
            f"The seed generator is another {when}.",
            expected=f"{expected}: the seed, and a draw for each call that needs one",
            found=str(found),
            law="R2",
        )


def compare_trained(layer: Any, expected: Collection[str], when: str) -> None:
    """Compares the paths of the variables that an optimizer would change (C5).

    Args:
        layer: A built layer.
        expected: The paths below the layer.
        when: After what, for messages.

    Raises:
        KeepLawError: If they are others.
    """
    mark = f"{layer.name}/"  # behind the names of the models around it
    found = {variable.path.partition(mark)[2] for variable in layer.trainable_variables}
    if found != set(expected):
        raise KeepLawError(
            f"Other variables are trainable {when}.",
            expected=f"{sorted(expected)}",
            found=f"{sorted(found)}",
            law="C5",
        )


def compare_carried(masks: Sequence[Any], mask: Any, kept: Sequence[bool]) -> None:
    """Compares the masks that outputs carry with that of their input (A4).

    Args:
        masks: A mask or None for each array of the outputs; more stand behind them.
        mask: The mask of the input.
        kept: For each array of the outputs whether it keeps the dimensions of the mask.

    Raises:
        KeepLawError: If they are others.
    """
    expected = [mask.tolist() if keeps else None for keeps in kept]
    found = [None if one is None else np.asarray(one).tolist() for one in masks[: len(kept)]]
    if found != expected:
        raise KeepLawError(
            "Outputs carry other masks.",
            expected=f"{expected}: the mask on what keeps its dimensions",
            found=f"{found}",
            law="A4",
        )


def is_explained(error: Exception) -> bool:
    """Tells whether an error names a law; of some, Keras's loading hands on the words alone."""
    return isinstance(error, FlaxLayerError) or "\nLaw: " in str(error)


def unexplained(what: str, found: str, law: str) -> KeepLawError:
    """Returns the error about something that a layer has to refuse with an explanation."""
    return KeepLawError(
        f"A layer does not explain {what}.",
        expected="a FlaxLayerError that says what to do",
        found=found,
        law=law,
    )
