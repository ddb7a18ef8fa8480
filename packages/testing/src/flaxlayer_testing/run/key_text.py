"""R2 as the text of a program that stands alone (T1)."""

from __future__ import annotations

from flaxlayer_testing.subject.subject import Subject

__all__ = ["key_text"]

_TEXT = """\
import hashlib


def stream_key(draws, *names):
    key = jax.random.fold_in(jax.random.key({seed}), draws)
    for name in names:
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], 'big')
        key = jax.random.fold_in(key, number)
    return key


def keys(draws, training):
    streams = {trained} if training else {predicted}
    return {{name: stream_key(draws, name) for name in streams}}


init_keys = {{name: stream_key(0, 'flaxlayer/init', name) for name in {initialised}}}
"""


def key_text(subject: Subject) -> str:
    """Returns definitions of `keys(draws, training)` and `init_keys` for a program.

    Args:
        subject: The subject of a generated case, which says what the module draws from.

    Returns:
        Lines of Python that need `jax`.
    """
    oracle = subject.oracle
    return _TEXT.format(
        seed=subject.seed,
        trained=sorted(oracle.drawn_streams(training=True)),
        predicted=sorted(oracle.drawn_streams(training=False)),
        initialised=sorted(oracle.init_streams),
    )
