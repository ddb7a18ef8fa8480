"""The zoo: an entry for every public class and lifted transform of Flax, every law (T7)."""

from conformance.zoo import calls, control, laws, layers, sequences, state, structure, transforms
from conformance.zoo.entry import Entry

__all__ = ["ENTRIES", "Entry"]

ENTRIES: tuple[Entry, ...] = (
    *layers.ENTRIES,
    *sequences.ENTRIES,
    *transforms.ENTRIES,
    *control.ENTRIES,
    *structure.ENTRIES,
    *calls.ENTRIES,
    *state.ENTRIES,
    *laws.ENTRIES,
)
"""All entries."""
