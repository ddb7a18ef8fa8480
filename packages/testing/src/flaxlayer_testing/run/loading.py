"""Reads what a command line names: classes, layers, inputs and settings (T8)."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np

from flaxlayer_testing.errors import LoadTargetError, in_short
from flaxlayer_testing.stored import parse

__all__ = ["load_checks", "load_object", "parse_input", "parse_inputs", "parse_settings"]

_MAX_SIZE = 2**31
_MAX_TEXT = 200
_INPUT = re.compile(r"(?P<dtype>\w+)\[(?P<shape>(\d+(,\d+)*)?)\](<(?P<below>\d+))?")


def load_object(target: str) -> Any:
    """Imports an object by its name.

    Args:
        target: `package.module:name`; the name may hold dots.

    Returns:
        The object.

    Raises:
        LoadTargetError: If it is not to be had.

    Example:

    ```python
    >>> load_object("flax.linen:Dense").__name__
    'Dense'

    ```
    """
    path, _, name = target.partition(":")
    try:
        found: Any = importlib.import_module(path) if path and name else None
        for part in name.split(".") if found else ():
            found = getattr(found, part)
    except Exception as error:  # a module may raise anything when it is imported
        raise _not_loaded(target, in_short(error)) from error
    if found is None:
        raise _not_loaded(target, "no colon between a module and a name")
    return found


def load_checks(name: str) -> ModuleType:
    """Imports a Python module that holds checks of the user's own.

    Args:
        name: `package.module`.

    Returns:
        The module, whose checks are then in the list.

    Raises:
        LoadTargetError: If it cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:  # a module may raise anything when it is imported
        raise LoadTargetError(
            f"The checks of {name[:_MAX_TEXT]!r} cannot be loaded.",
            expected="a Python module, as package.module, importable from here",
            found=in_short(error),
            fix="Correct the name, or run the command where Python finds the module.",
            law="T8",
        ) from error


def _not_loaded(target: str, found: str) -> LoadTargetError:
    fix = "Correct the name, or run the command where Python finds the package."
    path, ending, name = target.partition(".py:")
    if ending:
        dotted = re.sub(r"[/\\]+", ".", path.removeprefix("./"))
        fix = f"Name the Python module in place of its file, as {f'{dotted}:{name}'!r}."
    return LoadTargetError(
        f"{target!r} cannot be loaded.",
        expected="package.module:Name, importable from here",
        found=found,
        fix=fix,
        law="T8",
    )


def parse_input(text: str, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Makes an array of a described type: standard normal, or integers below a bound.

    Args:
        text: `dtype[shape]`, such as `float32[8,3]`; `int32[8,16]<100` for ids below 100, which
            are below 2 otherwise.
        rng: Draws the values.

    Returns:
        The array.

    Raises:
        LoadTargetError: If the text does not describe an array.

    Example:

    ```python
    >>> array = parse_input("int32[2,3]<7", np.random.default_rng(0))
    >>> array.shape, array.dtype.name, bool(array.max() < 7)
    ((2, 3), 'int32', True)

    ```
    """
    match = _INPUT.fullmatch(text.replace(" ", "")[:_MAX_TEXT])
    dtype = _dtype(match["dtype"]) if match else None
    if match is None or dtype is None or not _is_bounded(match, dtype):
        raise LoadTargetError(
            f"The input {text!r} cannot be made.",
            expected="dtype[shape], such as 'float32[8,224,224,3]' or 'int32[8,16]<100', of at "
            f"most {_MAX_SIZE:,} elements, and below a bound that fits the dtype",
            found=text[:_MAX_TEXT],
            fix="Quote it for the shell, and name the dtype as JAX does.",
            law="T8",
        )
    return _values(rng, _shape(match), dtype, int(match["below"] or 2))


def _shape(match: re.Match[str]) -> tuple[int, ...]:
    return tuple(int(size) for size in match["shape"].split(",") if size)


def _is_bounded(match: re.Match[str], dtype: np.dtype[Any]) -> bool:
    most = np.iinfo(dtype).max if dtype.kind in "iu" else 2
    return math.prod(_shape(match)) <= _MAX_SIZE and int(match["below"] or 0) <= most


def _dtype(name: str) -> np.dtype[Any] | None:
    try:
        dtype: np.dtype[Any] = jnp.dtype(name)
    except TypeError:
        return None
    exact = dtype.kind in "iub"
    return dtype if exact or jnp.issubdtype(dtype, jnp.inexact) else None


def _values(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any], below: int
) -> np.ndarray[Any, Any]:
    if dtype.kind in "iub":
        return rng.integers(0, max(below, 1), shape).astype(dtype)
    return np.asarray(rng.standard_normal(shape)).astype(dtype)


def parse_inputs(texts: Iterable[str], seed: int) -> tuple[np.ndarray[Any, Any], ...]:
    """Makes the inputs of a module, the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    return tuple(parse_input(text, rng) for text in texts)


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Reads arguments of a constructor.

    Args:
        texts: `name=JSON`; an array becomes a tuple, as the fields of a module are hashed.

    Returns:
        The arguments.

    Raises:
        LoadTargetError: If one is not of this form.

    Example:

    ```python
    >>> parse_settings(["features=3", "kernel_size=[3, 3]"])
    {'features': 3, 'kernel_size': (3, 3)}

    ```
    """
    return dict(map(_setting, texts))


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        if not name.isidentifier():
            message = f"{name!r} is not a name"
            raise ValueError(message)
        return name, _freeze(parse(value))
    except ValueError as error:
        raise LoadTargetError(
            f"The setting {text[:_MAX_TEXT]!r} cannot be read.",
            expected="name=JSON, such as features=3 or 'padding=\"SAME\"'",
            found=in_short(error),
            fix="Write the value as JSON: text in double quotes.",
            law="T8",
        ) from error


def _freeze(value: Any) -> Any:
    return tuple(map(_freeze, value)) if isinstance(value, list) else value
