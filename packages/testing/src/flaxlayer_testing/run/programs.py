"""Standalone programs that fail as a check does (T1): flax, keras and the layer under test only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.render.program import to_program
from flaxlayer_testing.run.key_text import key_text
from flaxlayer_testing.run.linen_programs import linen_check_text
from flaxlayer_testing.run.nnx_programs import nnx_check_text
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.subject.import_paths import import_path
from flaxlayer_testing.subject.subject import Subject

__all__ = ["PROGRAMS", "failing_program"]

PROGRAMS = (
    *("check_inference", "check_training", "check_fresh_keys", "check_state_training"),
    *("check_state_inference", "check_build_values", "check_build_dtypes"),
)
"""The checks that can be printed."""

_TEXTS: Mapping[str, Callable[[Subject, Case, str, tuple[str, str]], str]] = {
    "linen": linen_check_text,
    "nnx": nnx_check_text,
}


def failing_program(subject: Subject, check: str) -> str:
    """Prints a generated case with a check of the layer under test as a standalone program.

    Args:
        subject: The subject of a generated case.
        check: The name of a check.

    Returns:
        The program; empty where there is none for this check, for a module that was not generated,
        for a layer that cannot be imported by its name or has keys of its own, or for a backend
        that has other bits.
    """
    path = import_path(subject.layer)
    if subject.case is None or check not in PROGRAMS or path is None:
        return ""
    if not current_backend().shares_programs or subject.expected.rule.asks:
        return ""
    text = _TEXTS[subject.case.framework](subject, subject.case, check, path)
    return to_program(subject.case, check=f"{key_text(subject)}\n\n{text}")
