"""The formats of checkpoints that are read; another one is a file here, and a line (W2)."""

from __future__ import annotations

from flaxlayer.saving.checkpoints import msgpack, orbax, safetensors
from flaxlayer.saving.checkpoints.checkpoint_format import CheckpointFormat

__all__ = ["FORMATS"]

# The last one that claims a path reads it.
FORMATS: tuple[CheckpointFormat, ...] = (msgpack.FORMAT, safetensors.FORMAT, orbax.FORMAT)
