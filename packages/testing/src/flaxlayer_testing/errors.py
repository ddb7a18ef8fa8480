"""Errors of the harness, under the one base of the project.

```
FlaxLayerError(Exception)
├── ParityError(AssertionError)      two trees that must agree do not (T4)
├── KeepLawError(AssertionError)     a layer breaks a law in another way than by its values (T2)
├── RunScenarioError(RuntimeError)   the harness itself fails in a scenario (T9)
├── PassChecksError(AssertionError)  a report holds failures (T2)
├── SelectCheckError(ValueError)     a check that does not exist was asked for (T2)
├── ReadSpecError(ValueError)        a spec or its JSON is not one that this harness can build (T1)
├── ReadRecordError(ValueError)      a file is not a record or a case that this harness wrote (T8)
├── DeriveKeyError(ValueError)       a seed from which no key can be derived (R3)
├── ReadProjectError(ValueError)     [tool.flaxlayer] of a pyproject.toml cannot be read (T8)
├── LoadTargetError(ValueError)      a name, an input or a setting of the command line (T8)
└── FindToleranceError(TypeError)    a dtype has no entry in the tolerance table (T4)
```
"""

from __future__ import annotations

from flaxlayer_core import FlaxLayerError

__all__ = [
    "DeriveKeyError",
    "FindToleranceError",
    "KeepLawError",
    "LoadTargetError",
    "ParityError",
    "PassChecksError",
    "ReadProjectError",
    "ReadRecordError",
    "ReadSpecError",
    "RunScenarioError",
    "SelectCheckError",
    "in_short",
]


class ReadSpecError(FlaxLayerError, ValueError):
    """A spec, or the JSON of one, cannot be built (T1)."""


class ReadRecordError(FlaxLayerError, ValueError):
    """A file does not hold the record or the case that it should (T8)."""


class ReadProjectError(FlaxLayerError, ValueError):
    """The table `[tool.flaxlayer]` of a project cannot be read (T8)."""


class LoadTargetError(FlaxLayerError, ValueError):
    """What was named on the command line cannot be loaded or read (T8)."""


class DeriveKeyError(FlaxLayerError, ValueError):
    """No key can be derived from a seed (R3)."""


class FindToleranceError(FlaxLayerError, TypeError):
    """A dtype has no entry in the published tolerance table (T4)."""


class SelectCheckError(FlaxLayerError, ValueError):
    """A check was asked for, or expected to fail, that does not exist (T2, T6)."""


class KeepLawError(FlaxLayerError, AssertionError):
    """A layer breaks a law in another way than by the values of a tree (T2)."""


class RunScenarioError(FlaxLayerError, RuntimeError):
    """The harness itself fails in a scenario, so that nothing is known of the layer (T9)."""


class PassChecksError(FlaxLayerError, AssertionError):
    """Checks failed, or expected failures did not come about (T2, T6).

    Args:
        failed: What failed; cut where it is very long.
        replay: The command that runs the last of the failures again: the last line of the message,
            never cut (T8).

    Example:

    ```python
    >>> error = PassChecksError("It failed. " + 9_000 * "x", replay="pytest -k it")
    >>> len(str(error)) < 8_100, str(error).splitlines()[-1]
    (True, 'Replay: pytest -k it')

    ```
    """

    def __init__(self, failed: str, *, replay: str) -> None:
        super().__init__(failed)
        self.replay = replay
        self.args = (f"{self.failed}\nReplay: {replay}",)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_checks, (self.failed, self.replay))


class ParityError(FlaxLayerError, AssertionError):
    """Two trees that must agree differ (T4).

    Args:
        failed: What differs, with its path.
        kind: `"structure"`, `"shape"`, `"dtype"` or `"value"`.
        path: The first differing path, such as `"params/Dense_0/kernel"`.
        expected: What was expected there.
        found: What was found instead.
        by_table: Whether the published table of tolerances decided, not the bits.

    Example:

    ```python
    >>> error = ParityError("a/b differs in shape.", kind="shape", path="a/b")
    >>> error.kind, error.law
    ('shape', 'T4')

    ```
    """

    def __init__(
        self,
        failed: str,
        *,
        kind: str,
        path: str,
        expected: str = "",
        found: str = "",
        by_table: bool = False,
    ) -> None:
        super().__init__(failed, expected=expected, found=found, law="T4")
        self.kind = kind
        self.path = path
        self.by_table = by_table

    def __reduce__(self) -> tuple[object, ...]:
        parts = (self.failed, self.kind, self.path, self.expected, self.found, self.by_table)
        return (_rebuild_parity, parts)


def in_short(error: BaseException) -> str:
    """Returns the class and the words of an error, at most 500 characters of them."""
    return f"{type(error).__name__}: {error}"[:500]


def _rebuild_checks(failed: str, replay: str) -> PassChecksError:
    return PassChecksError(failed, replay=replay)


def _rebuild_parity(
    failed: str, kind: str, path: str, expected: str, found: str, by_table: bool
) -> ParityError:
    return ParityError(
        failed, kind=kind, path=path, expected=expected, found=found, by_table=by_table
    )
