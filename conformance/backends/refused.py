"""Entries of the zoo that a backend cannot run: they are refused at build (K4, T6)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OTHER_ERRORS", "REFUSALS", "Refusal"]


@dataclass(frozen=True)
class Refusal:
    """Why an entry cannot run.

    Attributes:
        operation: What the error names.
        reason: Why the backend does not have it.
    """

    operation: str
    reason: str


_PYTHON = "TensorFlow's XLA calls no Python of JAX"

REFUSALS = {
    "tensorflow": {
        "linen/CallsPython": Refusal("pure_callback", _PYTHON),
        "linen/PrintsValues": Refusal("debug_print|debug_callback", _PYTHON),
        "linen/Eigenvalues": Refusal(
            "geev", "XLA has no eigenvalues of general matrices; JAX calls LAPACK"
        ),
    },
    "torch": {},
}
"""Refusals by backend and the name of the entry."""

OTHER_ERRORS = {
    "tensorflow": {
        # A gradient that JAX lacks is an assertion in the graphs of TensorFlow.
        ("linen/WhileLoop", "check_train_step"): "InvalidArgumentError",
        ("linen/WhileLoop", "check_fit"): "InvalidArgumentError",
    },
    "torch": {},
}
"""By backend: the errors of known failures that it raises in place of those of JAX."""
