"""Standalone programs that fail as a check does (T1): flax, keras and the layer under test only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.backends.printed_pieces import shares_programs
from flaxlayer_testing.render.program import piece_texts, to_program
from flaxlayer_testing.render.raw_trees import is_array
from flaxlayer_testing.run.key_text import key_text
from flaxlayer_testing.run.linen_programs import linen_check_text
from flaxlayer_testing.run.nnx_programs import nnx_check_text
from flaxlayer_testing.scenario.printed import held_values
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.subject.import_paths import import_path
from flaxlayer_testing.subject.subject import Subject

__all__ = ["PROGRAMS", "failing_program"]

PROGRAMS = (
    *("check_inference", "check_training", "check_fresh_keys", "check_state_training"),
    *("check_state_inference", "check_build_values", "check_build_dtypes"),
)
"""The checks that can be printed."""

_HEADER = """\
import os
import warnings
from typing import Any

os.environ['KERAS_BACKEND'] = {backend!r}

import keras
from {module} import {name} as Layer

warnings.simplefilter('ignore')


"""

_NAMES = ("Coarsest", "bits", "bounds", "close", "same", "tensors")
_PIECES = {name: getattr(held_values, name) for name in _NAMES} | {
    "is_array": is_array,
    "shares_programs": shares_programs,
}

_TEXTS: Mapping[str, Callable[[Subject, Case, str], str]] = {
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
        for a layer that cannot be imported by its name or has keys of its own.
    """
    path = import_path(subject.layer)
    if subject.case is None or check not in PROGRAMS or path is None:
        return ""
    if subject.expected.rule.asks:
        return ""
    text = _TEXTS[subject.case.framework](subject, subject.case, check)
    pieces = "\n\n\n".join(piece_texts(text, _PIECES))
    header = _HEADER.format(backend=current_backend().name, module=path[0], name=path[1])
    return to_program(subject.case, check="\n\n\n".join([key_text(subject), header + pieces, text]))
