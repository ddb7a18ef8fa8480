"""Compares what a layer computed with what raw Flax computed: bitwise, or by the table (T4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.compare.tolerances import across_compilers
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.subject.subject import Subject

__all__ = ["compare_runs"]


def compare_runs(
    subject: Subject,
    expected: Any,
    actual: Any,
    *,
    path: str,
    inlined: bool = False,
    computed: Iterable[str] = (),
) -> dict[str, float]:
    """Compares results of raw Flax with those of a layer under test.

    Bitwise, where the layer ran the program that `jax.jit` makes of raw Flax. Else by the published
    table: by the dtype of a result, and where another compiler made it, by the coarsest dtype that
    it was computed in.

    Args:
        subject: What is checked.
        expected: What raw Flax gave.
        actual: What the layer gave; tensors stand for their values.
        path: Where the trees stand, for messages.
        inlined: Whether the layer ran as a part of a larger program.
        computed: Names of dtypes that it computes in beside those of the module.

    Returns:
        The largest observed absolute error for each dtype.

    Raises:
        ParityError: If they differ.

    Example:

    ```python
    >>> import flax.linen as nn, numpy as np
    >>> subject = Subject(nn.Dense(2), (np.ones((1, 3)),))
    >>> compare_runs(subject, np.ones(2), np.ones(2), path="outputs")
    {'float64': 0.0}

    ```
    """
    backend = current_backend()
    actual = backend.to_arrays(actual)
    if backend.shares_programs:
        return compare_trees(expected, actual, bitwise=not inlined, path=path)
    table = across_compilers({*subject.oracle.computed_dtypes, *computed})
    return compare_trees(expected, actual, path=path, tolerances=table)
