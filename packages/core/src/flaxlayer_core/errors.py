"""One class per explained error, all under `FlaxLayerError`.

The tree (the built-in that each also is, so that drop-in code keeps catching what it caught):

```
FlaxLayerError(Exception)
├── CallArgumentError(TypeError)        a call that does not fit the method (A1, A2)
├── InspectMethodError(ValueError)      a method that does not exist or cannot be used (A3)
├── AcceptModuleError(TypeError)        something that is not a linen module instance
├── BuildModuleError(ValueError)        a module that cannot be built from these inputs (B1-B3)
├── ReadUnbuiltError(AttributeError)    a look at what a layer has only once it is built (B1, A11)
├── MatchVariablesError(ValueError)     given variables that do not fit the module (B4, W2)
├── ReadVariablesError(ValueError)      a checkpoint that cannot be read (W2)
├── MatchWeightsFileError(ValueError)   a weights file that does not fit the layer (W3)
├── MatchPathPatternError(ValueError)   a path pattern that selects nothing (C5, W1)
├── StateStructureError(ValueError)     state that came back in another form (C4)
├── EscapeTraceError(RuntimeError)      state that would leak out of a JAX trace (A6)
├── DrawKeysError(ValueError)           random streams or seeds that cannot be used (R1-R4)
├── StoreDtypeError(TypeError)          a dtype that Keras cannot hold (C6)
├── RunModuleError(RuntimeError)        an error of a module that cannot be passed on itself (A9)
├── SelectBackendError(RuntimeError)    a Keras backend that is not supported
├── ImportBackendError(ImportError)     a Keras backend that is unknown or not installed
├── LowerModuleError(ValueError)        a module that the Keras backend cannot run (K4)
├── ExportModelError(ValueError)        a model that cannot be exported in a format (S4)
├── DistributeModelError(ValueError)    a model that is not where its distribution asks (B5, D1-D4)
├── ImportExtraError(ImportError)       an optional dependency that is not installed
├── EncodeModuleError(TypeError)        a module whose configuration cannot be stored (S1)
└── DecodeModuleError(ValueError)       a stored configuration that is refused (S2, S3)
```
"""

from __future__ import annotations

__all__ = [
    "AcceptModuleError",
    "BuildModuleError",
    "CallArgumentError",
    "DecodeModuleError",
    "DistributeModelError",
    "DrawKeysError",
    "EncodeModuleError",
    "EscapeTraceError",
    "ExportModelError",
    "FlaxLayerError",
    "ImportBackendError",
    "ImportExtraError",
    "InspectMethodError",
    "LowerModuleError",
    "MatchPathPatternError",
    "MatchVariablesError",
    "MatchWeightsFileError",
    "ReadUnbuiltError",
    "ReadVariablesError",
    "RunModuleError",
    "SelectBackendError",
    "StateStructureError",
    "StoreDtypeError",
]

_LONGEST = 8_000  # characters of a message, so that no file and no module makes a longer one (S6)
_AROUND = 100  # of them for the labels and the law
_NOTE = 40  # of a part for what says that it was cut


class FlaxLayerError(Exception):
    """Base of every error that flaxlayer explains.

    The message is built from its parts, always in the same order, one a line. Of a message that
    would be very long the longest parts are cut, and say how long they were.

    Args:
        failed: What failed: layer name, module class, path.
        expected: What was expected.
        found: What was found instead.
        fix: What the reader can do about it.
        law: The law of SPEC.md that is enforced, such as `"C4"`.

    Example:

    ```python
    >>> from flaxlayer_core import StateStructureError
    >>> error = StateStructureError(
    ...     "Layer 'cnn' (module CNN) cannot store 'batch_stats/BatchNorm_0/mean'.",
    ...     expected="float32[8]",
    ...     found="float32[16]",
    ...     fix="Return state of the shape that was built.",
    ...     law="C4",
    ... )
    >>> error.law
    'C4'

    ```
    """

    def __init__(
        self,
        failed: str,
        *,
        expected: str = "",
        found: str = "",
        fix: str = "",
        law: str = "",
    ) -> None:
        self.failed, self.expected, self.found, self.fix = _cut(
            *map(_printable, (failed, expected, found, fix))
        )
        self.law = law
        labelled = (
            ("Expected", self.expected),
            ("Found", self.found),
            ("Fix", self.fix),
            ("Law", law),
        )
        lines = [self.failed, *(f"{label}: {text}" for label, text in labelled if text)]
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[object, ...]:
        parts = (self.failed, self.expected, self.found, self.fix, self.law)
        return (_rebuild, (type(self), *parts))


def _printable(text: str) -> str:
    # A name may come from a file, and hold what steers a terminal, or what none can encode.
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def _cut(*parts: str) -> list[str]:
    """The parts of a message, the longest of them cut to one length where they are too long."""
    left = _LONGEST - _AROUND
    if sum(map(len, parts)) <= left:
        return list(parts)
    most = 0
    for number, length in enumerate(sorted(map(len, parts))):
        most = left // (len(parts) - number)
        if length > most:
            break
        left -= length
    return [
        text if len(text) <= most else f"{text[: most - _NOTE]}... ({len(text):,} characters)"
        for text in parts
    ]


def _rebuild(
    cls: type[FlaxLayerError], failed: str, expected: str, found: str, fix: str, law: str
) -> FlaxLayerError:
    return cls(failed, expected=expected, found=found, fix=fix, law=law)


class CallArgumentError(FlaxLayerError, TypeError):
    """A call does not fit the method's signature (A1, A2)."""


class InspectMethodError(FlaxLayerError, ValueError):
    """A method does not exist, or is not a public method of the module (A3)."""


class AcceptModuleError(FlaxLayerError, TypeError):
    """What was given as a module is not an instance of a supported module class."""


class BuildModuleError(FlaxLayerError, ValueError):
    """The module cannot be built from these inputs (B1-B3)."""


class ReadUnbuiltError(BuildModuleError, AttributeError):
    """Something is read of a layer that has none of it before it is built (B1, A11).

    An `AttributeError` too, so that `hasattr` and `inspect.getmembers` take it for what it is.
    """


class MatchVariablesError(FlaxLayerError, ValueError):
    """A given tree of variables does not fit the module (B4, W2)."""


class ReadVariablesError(FlaxLayerError, ValueError):
    """A file or directory does not hold variables that can be read (W2)."""


class MatchWeightsFileError(FlaxLayerError, ValueError):
    """A weights file does not hold exactly the variables of the layer (W3)."""


class MatchPathPatternError(FlaxLayerError, ValueError):
    """A path pattern selects no variable (C5, W1)."""


class StateStructureError(FlaxLayerError, ValueError):
    """State came back with another structure, shape or dtype than is stored (C4)."""


class EscapeTraceError(FlaxLayerError, RuntimeError):
    """A state update would leak a tracer out of a JAX transformation (A6)."""


class DrawKeysError(FlaxLayerError, ValueError):
    """Random streams or a seed cannot be used as given (R1-R4)."""


class StoreDtypeError(FlaxLayerError, TypeError):
    """A variable has a dtype that a Keras variable cannot hold (C6)."""


class RunModuleError(FlaxLayerError, RuntimeError):
    """A module raised an error whose class and words Keras would lose (A9)."""


class SelectBackendError(FlaxLayerError, RuntimeError):
    """The active Keras backend is not supported by this layer."""


class ImportBackendError(FlaxLayerError, ImportError):
    """The backend that Keras is going to run on is unknown or not installed."""


class LowerModuleError(FlaxLayerError, ValueError):
    """The module has an operation that the active Keras backend cannot run (K4)."""


class ExportModelError(FlaxLayerError, ValueError):
    """A model cannot be exported in the format that was asked for (S4)."""


class DistributeModelError(FlaxLayerError, ValueError):
    """A model, or a part of it, is not where its distribution asks for it (B5, D1-D4)."""


class ImportExtraError(FlaxLayerError, ImportError):
    """An optional dependency is not installed."""


class EncodeModuleError(FlaxLayerError, TypeError):
    """A module's configuration holds a value that cannot be stored (S1)."""


class DecodeModuleError(FlaxLayerError, ValueError):
    """A stored module configuration is refused (S2, S3)."""
