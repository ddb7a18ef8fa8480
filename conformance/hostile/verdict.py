"""What a case may end in, and what it may not (S6).

A load may end in a model, or in a `FlaxLayerError` with a message of at most 8,000 characters.
Where Keras reads before any code of ours runs, its readers raise what they raise: such an exception
is counted as Keras's own if it is of one of the types below, was raised in one of the files below,
and no frame of ours stands in its traceback, nor in that of any exception that led to it. What is
raised in our code, or below it, is never excused.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from conformance.hostile.route import UnreadableError
from flaxlayer_core import FlaxLayerError

__all__ = ["MOST_CHARACTERS", "Fault", "judged", "traced"]

MOST_CHARACTERS = 8_000
_OURS = ("/flaxlayer_core/", "/flaxlayer/", "/flaxlayer_testing/")
# The readers that Keras runs over a file before it comes to a layer of ours, and what they raise.
_READERS = ("/keras/src/", "/zipfile", "/json/", "h5py/", "/numpy/")
_RAISED = (
    *(TypeError, ValueError, KeyError, AttributeError, IndexError, OSError, RecursionError),
    *(
        NotImplementedError,
        RuntimeError,
        EOFError,
        AssertionError,
        NameError,
        zipfile.BadZipFile,
        zlib.error,
    ),
)
# Ours, but all that it does with what it read is Keras's own loading.
_PASSING_ON = {("reference.py", "load_reference_model")}


class Fault(Exception):
    """What no load may do: the message says what was seen."""


def judged(error: BaseException) -> str:
    """Says what an exception stands for.

    Args:
        error: What a load raised.

    Returns:
        `"refused: CLASS"`, `"keras: CLASS"` or `"unreadable"`.

    Raises:
        Fault: If no load may raise it.
    """
    if isinstance(error, UnreadableError):
        return "unreadable"
    if isinstance(error, FlaxLayerError):
        size = len(str(error))
        if size > MOST_CHARACTERS:
            raise Fault(f"{type(error).__name__} with a message of {size:,} characters")
        return f"refused: {type(error).__name__}"
    chain = list(_chain(error))
    if any(isinstance(each, FlaxLayerError) for each in chain):
        inner = next(type(each).__name__ for each in chain if isinstance(each, FlaxLayerError))
        raise Fault(f"raw {type(error).__name__} around {inner}")
    own = [frame for each in chain for frame in _frames(each) if _is_own(*frame)]
    raised = list(_frames(error))[-1][0]
    if own or not isinstance(error, _RAISED) or not any(part in raised for part in _READERS):
        raise Fault(f"raw {type(error).__name__}: {str(error)[:200]}")
    return f"keras: {type(error).__name__}"


def traced(error: BaseException) -> str:
    """Returns the last frames of what led to an exception, in two lines."""
    inner = list(_chain(error))[-1]
    frames = [f"{Path(file).name}:{line} {name}" for file, name, line in _located(inner)]
    return f"{type(inner).__name__}: {str(inner)[:300]}\n  " + " > ".join(frames[-7:])


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while error is not None and not any(error is each for each in seen):
        yield error
        seen.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _frames(error: BaseException) -> Iterator[tuple[str, str]]:
    for file, name, _ in _located(error):
        yield file, name


def _located(error: BaseException) -> Iterator[tuple[str, str, int]]:
    step: TracebackType | None = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        yield code.co_filename, code.co_name, step.tb_lineno
        step = step.tb_next


def _is_own(file: str, name: str) -> bool:
    return any(part in file for part in _OURS) and (Path(file).name, name) not in _PASSING_ON
