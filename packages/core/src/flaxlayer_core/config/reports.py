"""The errors of storing and loading, and the words that describe what was found."""

from __future__ import annotations

__all__ = ["cannot_store", "describe", "explain", "how_to_store", "in_full", "refuse", "shorten"]

import reprlib
from types import FunctionType, MethodType

import flax.linen as nn
import jax

from flaxlayer_core.errors import DecodeModuleError, EncodeModuleError

_STORABLE = "a value that JSON can hold: a module, a number, a container, a named function, ..."
_LONGEST_NAME = 256
_REPR = reprlib.Repr()
_REPR.maxlevel = 2
_REPR.maxstring = _REPR.maxother = 60


def cannot_store(
    path: str, *, found: str, fix: str, expected: str = _STORABLE, law: str = "S1"
) -> EncodeModuleError:
    """The error of a value at `path` that cannot be stored (S1)."""
    failed = f"Cannot store {path}."
    return EncodeModuleError(failed, expected=expected, found=found, fix=fix, law=law)


def refuse(
    path: str, *, expected: str, found: str, fix: str = "", law: str = "S2"
) -> DecodeModuleError:
    """The error of a stored value at `path` that is not loaded (S2, S3)."""
    fix = fix or "Check where the configuration comes from; flaxlayer did not write this."
    failed = f"Cannot load {path}."
    return DecodeModuleError(failed, expected=expected, found=found, fix=fix, law=law)


def shorten(value: object) -> str:
    """A repr of bounded length of a JSON value."""
    return _REPR.repr(value)


def in_full(name: str) -> str:
    """The repr of a name, whole, so that it can be pasted; of a file's junk as much as is read."""
    return repr(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}...")


def explain(error: BaseException) -> str:
    """The words of an error that a user's code raised, of bounded length."""
    text = str(error)
    return f"{type(error).__name__}: {text if len(text) <= _LONGEST_NAME else text[:_LONGEST_NAME]}"


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
