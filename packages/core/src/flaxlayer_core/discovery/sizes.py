"""The search over unknown sizes: what runs for the most general inputs that a module takes (B1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

import jax

from flaxlayer_core.compat.private_jax import filter_traceback, whole_tracebacks
from flaxlayer_core.errors import FlaxLayerError
from flaxlayer_core.shapes import AbstractInputs, ArraySpec, abstract_inputs, drop_symbols
from flaxlayer_core.trees.array_types import is_array
from flaxlayer_core.typing import PyTree

__all__ = ["NoSizeFitsError", "evaluate_for_sizes", "first_that_fits", "infer_output_specs"]

Choice = TypeVar("Choice")
Result = TypeVar("Result")


class NoSizeFitsError(Exception, Generic[Choice]):
    """A function failed for every choice of sizes.

    Args:
        failures: Each choice and what the function raised for it, in their order.

    Attributes:
        failures: The same.
    """

    def __init__(self, failures: Sequence[tuple[Choice, Exception]]) -> None:
        self.failures = tuple(failures)
        super().__init__(f"{type(self.first).__name__}: {self.first}")
        for error in (self.first, self.last):
            filter_traceback(error)

    @property
    def first(self) -> Exception:
        """What was raised for the most general choice."""
        return self.failures[0][1]

    @property
    def last(self) -> Exception:
        """What was raised for the last choice."""
        return self.failures[-1][1]


def _is_of_sizes(error: Exception, choice: object) -> bool:
    del choice
    return not isinstance(error, FlaxLayerError)


def first_that_fits(
    choices: Iterable[Choice],
    run: Callable[[Choice], Result],
    *,
    passes_over: Callable[[Exception, Choice], bool] = _is_of_sizes,
) -> Result:
    """Returns what a function gives for the first choice that it does not fail on.

    Args:
        choices: Choices of sizes, the most general first.
        run: Gets one of them. Any module may fail in any way on sizes that it does not take.
        passes_over: Tells whether a failure may be one of the sizes; another is raised at once.
            By default that is any but an error of ours.

    Returns:
        The result.

    Raises:
        NoSizeFitsError: If it failed for all of them.

    Example:

    ```python
    >>> first_that_fits([0, 2], lambda size: 6 // size)
    3

    ```
    """
    failures: list[tuple[Choice, Exception]] = []
    for choice in choices:
        try:
            with whole_tracebacks():
                return run(choice)
        except Exception as error:  # in any way, as said above
            if not passes_over(error, choice):
                filter_traceback(error)
                raise
            failures.append((choice, error))
    raise NoSizeFitsError(failures)


def evaluate_for_sizes(
    specs: Sequence[ArraySpec], run: Callable[[AbstractInputs], Result]
) -> Result:
    """Returns the result for abstract arrays, with the first sizes of unknown dimensions that fit.

    Args:
        specs: The arrays.
        run: Evaluates something abstractly.

    Returns:
        The result.

    Raises:
        Exception: What was raised for the last sizes, where it failed for all.
    """
    try:
        return first_that_fits(abstract_inputs(specs), run)
    except NoSizeFitsError as error:
        failure = error.last
    raise failure


def infer_output_specs(
    specs: Sequence[ArraySpec], run: Callable[[Sequence[jax.ShapeDtypeStruct]], PyTree]
) -> PyTree:
    """Evaluates outputs abstractly for inputs whose dimensions may be unknown.

    Args:
        specs: The inputs.
        run: Returns the outputs for abstract arrays, as a pytree of `ShapeDtypeStruct`.

    Returns:
        The outputs with an `ArraySpec` for each array; other leaves as they are.

    Raises:
        Exception: What the last choice of sizes raised, where all failed.

    Example:

    ```python
    >>> import jax.numpy as jnp, numpy as np
    >>> spec = ArraySpec((None, 3), np.dtype("float32"))
    >>> str(infer_output_specs([spec], lambda arrays: jax.eval_shape(jnp.transpose, *arrays)))
    'float32[3,?]'

    ```
    """

    def evaluate(inputs: AbstractInputs) -> PyTree:
        outputs = run(inputs.arrays)
        resized = [run(arrays) for _, arrays in inputs.resized]
        return jax.tree_util.tree_map(_output_spec, outputs, *resized)

    return evaluate_for_sizes(specs, evaluate)


def _output_spec(output: PyTree, *resized: PyTree) -> PyTree:
    if not is_array(output):
        return output
    dims = drop_symbols(output.shape)
    for other in resized:
        dims = tuple(d if d == o else None for d, o in zip(dims, other.shape, strict=True))
    return ArraySpec(dims, output.dtype)
