"""Entries of the zoo that TensorFlow cannot run: they are refused at build (K4, T6)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OTHER_ERRORS", "REFUSED", "Refusal"]


@dataclass(frozen=True)
class Refusal:
    """Why an entry cannot run.

    Attributes:
        operation: What the error names.
        reason: Why TensorFlow does not have it.
    """

    operation: str
    reason: str


_PYTHON = "TensorFlow's XLA calls no Python of JAX"

REFUSED = {
    "linen/CallsPython": Refusal("pure_callback", _PYTHON),
    "linen/PrintsValues": Refusal("debug_print|debug_callback", _PYTHON),
    "linen/Eigenvalues": Refusal(
        "geev", "XLA has no eigenvalues of general matrices; JAX calls LAPACK"
    ),
}
"""Refusals by the name of the entry."""

OTHER_ERRORS = {
    # A gradient that JAX lacks is an assertion in the graphs of TensorFlow.
    ("linen/WhileLoop", "check_train_step"): "InvalidArgumentError",
    ("linen/WhileLoop", "check_fit"): "InvalidArgumentError",
}
"""The errors of known failures that TensorFlow raises in place of those of JAX."""
