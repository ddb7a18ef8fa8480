"""The errors of storing and loading, and the words that describe what was found."""

from __future__ import annotations

__all__ = [
    "cannot_store",
    "describe",
    "explain",
    "how_to_store",
    "in_full",
    "refusals",
    "refuse",
    "shorten",
]

import contextlib
import itertools
import reprlib
from collections.abc import Iterator
from types import FunctionType, MethodType

import flax.linen as nn
import jax

from flaxlayer_core.errors import DecodeModuleError, EncodeModuleError, FlaxLayerError

_STORABLE = "a value that JSON can hold: a module, a number, a container, a named function, ..."
_LONGEST_NAME = 256
_LONGEST_TEXT, _LONGEST_PART = 1_024, 32_768
# In decimal digits a huge integer costs quadratic time, and Python refuses it from some size on.
_LONGEST_INTEGER_BITS = 200


class _Repr(reprlib.Repr):
    """A repr of bounded length, and of bounded cost for what JSON can hold."""

    def repr_int(self, x: int, level: int) -> str:
        """Of an integer with too many digits its size alone."""
        bits = x.bit_length()
        return repr(x) if bits <= _LONGEST_INTEGER_BITS else f"<an integer of {bits} bits>"

    def repr_dict(self, x: dict[object, object], level: int) -> str:
        """The first entries, not sorted: of a hostile file there may be many."""
        if not x or level <= 0:
            return "{...}" if x else "{}"
        shown = [
            f"{self.repr1(key, level - 1)}: {self.repr1(item, level - 1)}"
            for key, item in itertools.islice(x.items(), self.maxdict)
        ]
        return f"{{{', '.join([*shown, *(['...'] if len(x) > self.maxdict else [])])}}}"

    def repr1(self, x: object, level: int) -> str:
        """Of any object but JSON's what it is, not what it says of itself."""
        if x is None or type(x) in (bool, float, complex):
            return repr(x)
        is_plain = type(x) in (int, str, list, tuple, dict, set, frozenset)
        return super().repr1(x, level) if is_plain else f"<{describe(x)}>"


_REPR = _Repr()
_REPR.maxlevel = 2
_REPR.maxstring = _REPR.maxother = 60


def cannot_store(
    path: str, *, found: str, fix: str, expected: str = _STORABLE, law: str = "S1"
) -> EncodeModuleError:
    """The error of a value at `path` that cannot be stored (S1)."""
    failed = f"Cannot store {_place(path)}."
    return EncodeModuleError(failed, expected=expected, found=found, fix=fix, law=law)


def refuse(
    path: str, *, expected: str, found: str, fix: str = "", law: str = "S2"
) -> DecodeModuleError:
    """The error of a stored value at `path` that is not loaded (S2, S3)."""
    fix = fix or "Check where the configuration comes from; flaxlayer did not write this."
    failed = f"Cannot load {_place(path)}."
    # Whatever classes a process has made, and whatever fields and members they have.
    expected, found, fix = (_clip(text, _LONGEST_PART) for text in (expected, found, fix))
    return DecodeModuleError(failed, expected=expected, found=found, fix=fix, law=law)


def _place(path: str) -> str:
    """A path, of a very long one both ends."""
    if len(path) <= _LONGEST_TEXT:
        return path
    return f"{path[: _LONGEST_TEXT // 2]}...{path[-_LONGEST_TEXT // 2 :]}"


@contextlib.contextmanager
def refusals(path: str) -> Iterator[None]:
    """Whatever is raised on the way is a refusal of what stands at `path` (S6)."""
    try:
        yield
    except FlaxLayerError:
        raise
    except RecursionError:
        # The depth is bounded, but the caller's own stack may have left less than that.
        expected = "room on the stack to load it"
        found = "a stack that is full already"
        raise refuse(path, expected=expected, found=found, law="S3") from None
    except Exception as error:  # of classes that compare, hash or describe themselves
        raise refuse(path, expected="what encode_value wrote", found=explain(error)) from error


def shorten(value: object) -> str:
    """A repr of bounded length and cost."""
    return _clip(_REPR.repr(value))


def _clip(text: str, longest: int = _LONGEST_TEXT) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."


def in_full(name: str) -> str:
    """The repr of a name, whole, so that it can be pasted; of a file's junk as much as is read."""
    return repr(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}...")


def explain(error: BaseException) -> str:
    """The words of an error that a user's code raised, of bounded length."""
    try:
        text = str(error)
    except Exception:  # its class may be a user's, too
        text = "(without words)"
    return f"{type(error).__name__}: {text[:_LONGEST_NAME]}"


def how_to_store(value: object) -> str:
    """What to do about a value that has no stored form."""
    name = type(value).__name__
    return (
        f"flaxlayer.register({name}, encode=..., decode=...), before loading too; or give the "
        "layer what makes the module: FlaxLayer(functools.partial(build, ...))."
    )


def describe(value: object) -> str:
    """What `value` is, without its content, which may be large."""
    if isinstance(value, FunctionType):
        return _describe_function(value)
    if isinstance(value, MethodType):
        return f"the bound method {value.__qualname__}"
    if isinstance(value, type):
        return f"the class {value.__module__}.{value.__qualname__}"
    if isinstance(value, jax.core.Tracer):
        return "a traced array"
    if isinstance(value, nn.Module):
        return f"a module of class {type(value).__qualname__}"
    return f"an object of class {type(value).__module__}.{type(value).__qualname__}"


def _describe_function(value: FunctionType) -> str:
    place = f"{value.__code__.co_filename}:{value.__code__.co_firstlineno}"
    if value.__name__ == "<lambda>":
        return f"a lambda, from {place}"
    if value.__closure__:
        captured = ", ".join(value.__code__.co_freevars)
        return f"the function {value.__qualname__}, which captures {captured}, from {place}"
    return f"the function {value.__qualname__}, from {place}"
