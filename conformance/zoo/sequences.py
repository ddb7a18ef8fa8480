"""Entries for attention and recurrent cells, alone and under `RNN` and `Bidirectional`."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from conformance.zoo.entry import Entry, X, linen, normal

__all__ = ["ENTRIES"]

SEQUENCE = normal(2, 3, 4)
FRAMES = normal(2, 3, 2, 2, 2)
LENGTHS = np.array([2, 3], np.int32)
MASK = np.tril(np.ones((2, 1, 3, 3), bool))


class Decoder(nn.Module):
    """Attention over what came before: the cache is made for four tokens, one comes at a time."""

    @nn.compact
    def __call__(self, x):
        if self.is_initializing():
            x = jnp.repeat(x, 4, axis=1)
        return nn.MultiHeadDotProductAttention(2, decode=True)(x)


class CrossAttention(nn.Module):
    """Queries of one sequence, keys and values of another; a mask made within."""

    @nn.compact
    def __call__(self, x, memory, mask, *, train=False):
        pairs = nn.make_attention_mask(jnp.ones(x.shape[:2]), mask)
        attention = nn.MultiHeadAttention(2, dropout_rate=0.5)
        return attention(x, memory, mask=pairs, deterministic=not train)


class Stacked(nn.Module):
    """Two recurrent layers, the second from the carry of the first."""

    @nn.compact
    def __call__(self, x):
        carry, y = nn.RNN(nn.GRUCell(3), return_carry=True)(x)
        return nn.RNN(nn.GRUCell(3), reverse=True, keep_order=True)(y, initial_carry=carry)


ATTENTION = (
    linen(lambda: nn.MultiHeadDotProductAttention(2), SEQUENCE, arguments={"mask": MASK}),
    linen(
        lambda: nn.MultiHeadDotProductAttention(2, dropout_rate=0.5),
        SEQUENCE,
        name="AttentionDropout",
    ),
    linen(
        CrossAttention,
        SEQUENCE,
        normal(2, 5, 4),
        np.ones((2, 5), np.float32),
        covers=("linen.MultiHeadAttention", "feature.masks"),
    ),
    linen(lambda: nn.SelfAttention(2), SEQUENCE),
    linen(
        lambda: nn.MultiHeadDotProductAttention(2, decode=True),
        normal(2, 1, 4),
        name="AttentionDecode",
    ),
    linen(Decoder, normal(2, 1, 4), covers=("feature.decode_cache", "law.C3")),
)

CELLS = {
    "SimpleCell": (lambda: nn.SimpleCell(3), 1),
    "GRUCell": (lambda: nn.GRUCell(3), 1),
    "MGUCell": (lambda: nn.MGUCell(3), 1),
    "LSTMCell": (lambda: nn.LSTMCell(3), 2),
    "OptimizedLSTMCell": (lambda: nn.OptimizedLSTMCell(3), 2),
}


def _alone(name):
    make, states = CELLS[name]
    carry = tuple(normal(2, 3) for _ in range(states))
    return linen(make, carry if states > 1 else carry[0], X, name=f"{name}Alone")


def _under_rnn(name):
    make, _ = CELLS[name]
    covers = (f"linen.{name}", "linen.RNN")
    return linen(lambda: nn.RNN(make()), SEQUENCE, name=f"{name}UnderRNN", covers=covers)


CONV_LSTM = normal(2, 2, 2, 3)
RECURRENT = (
    *map(_alone, CELLS),
    *map(_under_rnn, CELLS),
    linen(
        lambda: nn.ConvLSTMCell(3, (2, 2)),
        (CONV_LSTM, CONV_LSTM),
        normal(2, 2, 2, 2),
        name="ConvLSTMCellAlone",
    ),
    linen(lambda: nn.RNN(nn.ConvLSTMCell(3, (2, 2))), FRAMES, name="ConvLSTMCellUnderRNN"),
    linen(
        lambda: nn.RNN(nn.LSTMCell(3), return_carry=True),
        SEQUENCE,
        name="RNNLengths",
        arguments={"seq_lengths": LENGTHS},
    ),
    linen(lambda: nn.RNN(nn.GRUCell(3), time_major=True), normal(3, 2, 4), name="RNNTimeMajor"),
    linen(Stacked, SEQUENCE, covers=("linen.RNN", "feature.initial_carry")),
    linen(
        lambda: nn.Bidirectional(nn.RNN(nn.GRUCell(3)), nn.RNN(nn.LSTMCell(3))),
        SEQUENCE,
    ),
)

ENTRIES: tuple[Entry, ...] = (*ATTENTION, *RECURRENT)
