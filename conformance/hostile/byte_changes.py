"""Changes to bytes, which know little of a structure: flips, cuts and splices."""

from __future__ import annotations

import random

__all__ = ["change_bytes"]


def change_bytes(content: bytes, rng: random.Random) -> bytes:
    """Returns bytes with one to four changes."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        rng.choice([_flip, _flip, _number, _cut, _splice, _drop])(changed, rng)
    return bytes(changed)


def _flip(content: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 2, 16]) if content else 0):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _number(content: bytearray, rng: random.Random) -> None:
    """A length or an offset, wherever one may stand."""
    width = rng.choice([1, 2, 4, 8])
    start = rng.randrange(max(len(content) - width, 1))
    value = rng.choice([0, 1, 2 ** (8 * width - 1), 2 ** (8 * width) - 1, 2 ** (4 * width)])
    content[start : start + width] = value.to_bytes(width, rng.choice(["little", "big"]))


def _cut(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content) + 1) :]


def _drop(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content) + 1)
    del content[start : start + rng.choice([1, 4, 64])]


def _splice(content: bytearray, rng: random.Random) -> None:
    """A part of the bytes at another place."""
    start, place = rng.randrange(len(content) + 1), rng.randrange(len(content) + 1)
    content[place:place] = content[start : start + rng.choice([1, 8, 256])]
