"""Draws a report, as a terminal shows it: `python -m docs.site.report_picture`."""

from __future__ import annotations

import io
import re

import flax.linen as nn
import jax
import numpy as np
from rich.console import Console

from docs.site.pages import DOCS
from flaxlayer_testing import check_module

__all__ = ["PICTURE", "main"]

PICTURE = DOCS / "_static" / "report.svg"
_SHOWN = (
    "check_build_values",
    "check_inference",
    "check_training",
    "check_returned_sown",
    "check_saved_model",
    "check_gradients",
    "check_fit",
    "check_streams",
)


class Net(nn.Module):
    """The module of the README."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Returns logits."""
        x = nn.BatchNorm(use_running_average=not train)(nn.relu(nn.Dense(64)(x)))
        return nn.Dense(10)(nn.Dropout(0.2, deterministic=not train)(x))


def main() -> None:
    """Runs the checks, and writes the picture."""
    console = Console(record=True, width=88, file=io.StringIO())
    console.print(check_module(Net(), np.ones((8, 12), np.float32), only=_SHOWN))
    drawn = console.export_svg(title="flaxlayer-conformance check")
    # A picture loads nothing from elsewhere: it takes the reader's own fonts.
    PICTURE.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL))


if __name__ == "__main__":
    main()
