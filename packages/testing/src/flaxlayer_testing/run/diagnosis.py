"""What a failed check says: what broke, the laws, what it likely is and what to do (T8)."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from functools import lru_cache

import jax

from flaxlayer_core import FlaxLayerError
from flaxlayer_testing.checks import Check
from flaxlayer_testing.compare.trees import compare_trees
from flaxlayer_testing.errors import KeepLawError, ParityError, in_short
from flaxlayer_testing.oracle.oracle import Oracle
from flaxlayer_testing.subject.subject import Subject

__all__ = ["explain", "is_impure"]

_UNDER_TEST = frozenset({"flax", "flaxlayer", "flaxlayer_core", "keras", "tensorflow"})
_BY_COPIES = frozenset({"S1", "S4", "W4"})


@dataclass(frozen=True)
class _Cause:
    """What a failure likely is, and what to do about it."""

    likely: str
    action: str

    def __str__(self) -> str:
        return f"Likely {self.likely}. {self.action}"


_IMPURE = _Cause(
    "the module is impure: raw Flax itself gives two results for the same variables, keys and "
    "inputs",
    "Draw random numbers from `make_rng` or `nnx.Rngs`, and keep what changes in a variable.",
)
_HIDDEN = _Cause(
    "the module computes with something that is neither one of its fields nor a variable, so that "
    "no configuration holds it",
    "Make it a field of the class, or a variable.",
)
_CAST = _Cause(
    "something is cast on its way into the module or out of it",
    "Look at the dtype policy of Keras and at `dtype=` of the layer.",
)
_FORM = _Cause(
    "a part is dropped, added or handed on in another container",
    "Compare the result of the layer with that of `module.apply`.",
)
_ROUNDING = _Cause(
    "the module multiplies rounding errors beyond the table, or the layer computes something else",
    "Run it with JAX_ENABLE_X64=1 on float64: a difference of rounding shrinks, another stays.",
)
_OTHER_PROGRAM = _Cause(
    "the layer runs another program than raw Flax: with other keys, flags, variables or inputs",
    "Compare `layer.peek_rngs` and `layer.flax_variables()` with what `module.apply` gets.",
)
_HARNESS = _Cause(
    "the harness itself is at fault: it failed outside of the layer and of the module",
    "Report it with the line that replays it.",
)
_CHECK = _Cause(
    "the check itself is at fault: it failed outside of the layer and of the module",
    "Correct it; where a law is broken, raise an `AssertionError` or a `KeepLawError`.",
)
_FAILS = _Cause(
    "the layer fails where raw Flax runs the module",
    "Replay it, and read the traceback from the first frame of the layer.",
)


def explain(check: Check, subject: Subject, error: Exception) -> str:
    """Returns the message of a failure.

    Args:
        check: The check that failed.
        subject: What it was run on.
        error: What it raised.

    Returns:
        What failed, what was expected and found, what it likely is and what to do, and the laws:
        those of the check, and T4 where the tolerance of the comparison decided.
    """
    laws = ", ".join(_laws(check, error))
    if not isinstance(error, FlaxLayerError):
        cause = _cause(check, subject, error)
        return "\n".join([str(error), *([f"Fix: {cause}"] if cause else []), f"Law: {laws}"])
    fix = error.fix or str(_cause(check, subject, error) or "")
    parts = {"expected": error.expected, "found": error.found, "fix": fix, "law": laws}
    return str(FlaxLayerError(error.failed, **parts))


def _laws(check: Check, error: Exception) -> tuple[str, ...]:
    if isinstance(error, ParityError):
        return (*check.laws, "T4") if error.by_table else check.laws
    return (error.law,) if isinstance(error, FlaxLayerError) and error.law else check.laws


def _cause(check: Check, subject: Subject, error: Exception) -> _Cause | None:
    refusal = _refusal(subject.oracle)
    if refusal:
        return _Cause(
            f"the module or its inputs: raw Flax itself does not run it ({refusal})",
            "Correct that first; the layer has not been judged.",
        )
    if isinstance(error, ParityError):
        return _of_difference(check, subject, error)
    if isinstance(error, KeepLawError):
        return None
    if not check.is_ours and isinstance(error, AssertionError):
        return None  # the check of a user says what is wrong
    if not _is_of_the_harness(subject, error):
        return _FAILS
    return _HARNESS if check.is_ours else _CHECK


def _of_difference(check: Check, subject: Subject, error: ParityError) -> _Cause:
    if error.kind in ("structure", "shape"):
        return _FORM
    if error.kind == "dtype":
        return _CAST
    if is_impure(subject.oracle):
        return _IMPURE
    if _BY_COPIES & set(check.laws) and error.path.startswith("outputs"):
        return _HIDDEN
    return _ROUNDING if error.by_table else _OTHER_PROGRAM


def _is_of_the_harness(subject: Subject, error: Exception) -> bool:
    frames = traceback.walk_tb(error.__traceback__)
    homes = {str(frame.f_globals.get("__name__")) for frame, _ in frames}
    packages = {home.partition(".")[0] for home in homes}
    return not packages & _UNDER_TEST and getattr(subject.layer, "__module__", "") not in homes


@lru_cache(maxsize=64)
def _refusal(oracle: Oracle) -> str:
    try:
        oracle.stored  # noqa: B018  it is found by running the module
    except Exception as error:  # whatever the code of a module raises
        return in_short(error)
    return ""


@lru_cache(maxsize=64)
def is_impure(oracle: Oracle) -> bool:
    """Tells whether raw Flax gives two results for the same variables, keys and inputs.

    Args:
        oracle: The module, run by raw Flax.

    Returns:
        True if two applications, each traced for itself, differ in a bit.

    Example:

    ```python
    >>> import flax.linen as nn, numpy as np
    >>> is_impure(Subject(nn.Dense(2), (np.ones((1, 3), np.float32),)).oracle)
    False

    ```
    """
    rngs = {"params": jax.random.key(0)}
    variables = {
        name: tree
        for name, tree in oracle.raw.init(rngs, training=True).items()
        if name in oracle.stored
    }
    for training in (True, False):
        function = oracle.function(training=training)
        once, again = (
            oracle.compile(function)(variables, rngs, oracle.raw.arrays) for _ in range(2)
        )
        try:
            compare_trees(once, again, bitwise=True)
        except ParityError:
            return True
    return False
