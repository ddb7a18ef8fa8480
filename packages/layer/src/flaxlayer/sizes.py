"""Abstract evaluation for inputs whose dimensions may be unknown (B1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from flaxlayer_core import ArraySpec, FlaxLayerError, abstract_inputs

__all__ = ["try_sizes"]

Result = TypeVar("Result")


def try_sizes(specs: Sequence[ArraySpec], run: Callable[[Sequence[Any]], Result]) -> Result:
    """Returns the result for abstract arrays, with the first sizes of unknown dimensions that fit.

    Args:
        specs: The arrays.
        run: Evaluates something abstractly.

    Returns:
        The result of `run`.

    Raises:
        Exception: What the last attempt raised, where all failed.
    """
    failure: Exception | None = None
    for binding in abstract_inputs(specs):
        try:
            return run(binding.arrays)
        except FlaxLayerError:
            raise
        except Exception as error:  # any module may fail in any way on symbolic sizes
            failure = error
    assert failure is not None
    raise failure
