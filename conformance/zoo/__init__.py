"""The zoo: an entry for every public class and lifted transform of Flax, every law (T7)."""

from flax import nnx

from conformance.zoo import (
    calls,
    control,
    host,
    laws,
    layers,
    sequences,
    state,
    structure,
    transforms,
)
from conformance.zoo.entry import Entry

__all__ = ["ENTRIES", "Entry", "every_entry"]

ENTRIES: tuple[Entry, ...] = (
    *layers.ENTRIES,
    *sequences.ENTRIES,
    *transforms.ENTRIES,
    *control.ENTRIES,
    *structure.ENTRIES,
    *calls.ENTRIES,
    *state.ENTRIES,
    *host.ENTRIES,
    *laws.ENTRIES,
)
"""The entries of linen."""


def every_entry():
    """Returns the entries of linen, and of nnx where Flax has it."""
    if not hasattr(nnx, "data"):
        return ENTRIES
    from conformance.zoo.nnx import NNX_ENTRIES

    return (*ENTRIES, *NNX_ENTRIES)
