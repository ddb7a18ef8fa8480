"""Bounds on a stored configuration, checked before anything is allocated or constructed (S3)."""

from __future__ import annotations

__all__ = ["Limits", "check_bounds", "check_repeats", "range_length", "read_integer"]

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

from flaxlayer_core.errors import DecodeModuleError
from flaxlayer_core.typing import Leaf

# How many values references may repeat: some in any file, more in a larger one.
_REPEATS, _REPEATS_OF_EACH = 40_000, 16


@dataclass(frozen=True)
class Limits:
    """How large a stored configuration may be.

    Args:
        depth: Levels of nested JSON lists and objects. A nested module takes three.
        nodes: JSON values in all; a shared module counts again at each place that refers to it, and
            a range counts its length.
        string: Characters of one string that is not a binary payload.
        payload_bytes: Bytes of all binary payloads (arrays and `bytes`) together.
        dimensions: Dimensions of one array.
        integer_bits: Bits of one integer; Python writes about 14,000 in decimal digits at most.

    Example:

    ```python
    >>> from flaxlayer_core.config import Limits
    >>> Limits(depth=20).nodes
    100000

    ```
    """

    depth: int = 128
    nodes: int = 100_000
    string: int = 1 << 20
    payload_bytes: int = 64 << 20
    dimensions: int = 32
    integer_bits: int = 8_192


def check_bounds(config: object, limits: Limits) -> None:
    """Raises unless `config` is a JSON value within `limits`.

    Iterative, so that depth costs no stack, and read-only, so that nothing is allocated for it.

    Raises:
        DecodeModuleError: `config` is too deep, too large, or not JSON.

    Example:

    ```python
    >>> from flaxlayer_core.config import Limits, check_bounds
    >>> check_bounds([1, {"a": None}], Limits())
    >>> check_bounds([[[[]]]], Limits(depth=2))
    Traceback (most recent call last):
    flaxlayer_core.errors.DecodeModuleError: Cannot load a stored configuration.
    Expected: at most 2 nested levels
    Found: more
    Fix: Check where the file comes from; a file that flaxlayer wrote stays within this.
    Law: S3

    ```
    """
    pending: list[tuple[object, int, bool]] = [(config, 0, False)]
    nodes = payload = 0
    while pending:
        value, depth, is_payload = pending.pop()
        nodes += 1 + _length(value, limits)
        if depth > limits.depth:
            raise _beyond(f"at most {limits.depth} nested levels")
        if nodes + len(pending) > limits.nodes:
            raise _beyond(f"at most {limits.nodes} values")
        if is_payload and type(value) is str:
            payload += len(value) * 3 // 4
            if payload > limits.payload_bytes + 2:
                raise _beyond(
                    f"at most {limits.payload_bytes} bytes of arrays and other binary data"
                )
            continue
        _check_leaf(value, limits)
        if len(pending) + _width(value) > limits.nodes:
            raise _beyond(f"at most {limits.nodes} values")
        pending.extend((child, depth + 1, key == "data") for key, child in _children(value))


def check_repeats(config: object) -> None:
    """Raises where references make much of a short file: its modules are traced at each place.

    Args:
        config: A JSON value within its bounds.

    Raises:
        DecodeModuleError: It would be too large with each reference written out.
    """
    written = [0, 0]  # the values, and those that references repeat
    sizes: dict[object, int] = {}
    _count(config, sizes, written)
    most = _REPEATS + _REPEATS_OF_EACH * written[0]
    if written[1] > most:
        raise _beyond(f"references that repeat at most {most} values")


def _count(node: object, sizes: dict[object, int], written: list[int]) -> int:
    """The size of a value, that of what it refers to included."""
    written[0] += 1
    number = node.get("id") if isinstance(node, dict) else None
    if isinstance(node, dict) and node.get("$type") == "ref":
        repeated = sizes.get(number, 0) if type(number) is int else 0
        written[1] += repeated
        return repeated
    size = 1 + sum(_count(child, sizes, written) for _, child in _children(node))
    if type(number) is int:
        # Enough to be refused; references that double each other would count without end.
        sizes[number] = min(size, 1 << 40)
    return size


def range_length(start: int, stop: int, step: int) -> int:
    """How many integers a range holds, also where `len` fails."""
    return max(0, -((start - stop) // step))


def read_integer(text: object, limits: Limits) -> int | None:
    """The integer that a hexadecimal text stands for, None where it is none or has too many bits.

    Hexadecimal costs linear time; the bound keeps a huge integer from being made at all.
    """
    if isinstance(text, str) and len(text) <= limits.integer_bits // 4 + 3:
        with contextlib.suppress(ValueError):
            return int(text, 16)
    return None


def _length(value: object, limits: Limits) -> int:
    """How many integers a stored range stands for, 0 for anything else."""
    if not isinstance(value, dict) or value.get("$type") != "range":
        return 0
    parts = [value.get(key) for key in ("start", "stop", "step")]
    held: list[Leaf] = [
        read_integer(part.get("hex"), limits) if isinstance(part, dict) else part for part in parts
    ]
    start, stop, step = held
    # What is malformed is refused where it is decoded.
    is_range = type(start) is type(stop) is type(step) is int and step != 0
    return range_length(start, stop, step) if is_range else 0


def _width(value: object) -> int:
    return len(value) if isinstance(value, (list, dict)) else 0


def _children(value: object) -> Iterator[tuple[object, object]]:
    if isinstance(value, dict):
        return iter(value.items())
    return ((None, item) for item in value) if isinstance(value, list) else iter(())


def _check_leaf(value: object, limits: Limits) -> None:
    if type(value) is str and len(value) > limits.string:
        raise _beyond(f"strings of at most {limits.string} characters")
    if type(value) is int and value.bit_length() > limits.integer_bits:
        raise _beyond(f"integers of at most {limits.integer_bits} bits")
    if type(value) is float and not isfinite(value):
        raise _malformed("finite numbers", repr(value))
    if type(value) is dict and not all(type(key) is str for key in value):
        raise _malformed("objects with string keys", "another key")
    if type(value) not in (dict, list, str, int, float, bool, type(None)):
        raise _malformed("only JSON values", f"a {type(value).__name__}")


def _beyond(expected: str) -> DecodeModuleError:
    fix = "Check where the file comes from; a file that flaxlayer wrote stays within this."
    return _refusal(expected, "more", fix)


def _malformed(expected: str, found: str) -> DecodeModuleError:
    return _refusal(expected, found, "Pass what encode_module returned, or what json.loads read.")


def _refusal(expected: str, found: str, fix: str) -> DecodeModuleError:
    failed = "Cannot load a stored configuration."
    return DecodeModuleError(failed, expected=expected, found=found, fix=fix, law="S3")
