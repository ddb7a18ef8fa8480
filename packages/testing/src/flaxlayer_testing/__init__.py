"""Generated Flax modules, and the checks that judge a layer that runs them."""

from __future__ import annotations

from flaxlayer_testing.building import (
    build_module,
    flag_arguments,
    init_variables,
    make_inputs,
    make_rngs,
)
from flaxlayer_testing.checks import Check, checks
from flaxlayer_testing.compare import compare_trees
from flaxlayer_testing.errors import (
    FindToleranceError,
    KeepLawError,
    ParityError,
    PassChecksError,
    ReadSpecError,
    SelectCheckError,
)
from flaxlayer_testing.expected import ExpectedFailure
from flaxlayer_testing.fronts import check_module, parametrize_checks, run_check
from flaxlayer_testing.graph import FEATURES, output_types, spec_traits, value_types
from flaxlayer_testing.program import to_program
from flaxlayer_testing.programs import failing_program
from flaxlayer_testing.report import Entry, Report, Status
from flaxlayer_testing.running import CheckFinished, CheckStarted, run_checks, run_report
from flaxlayer_testing.specs import Case, Flag, ModuleSpec, Node, ValueType
from flaxlayer_testing.strategies import cases, inputs, modules
from flaxlayer_testing.subject import Subject
from flaxlayer_testing.tolerances import TOLERANCES, Tolerance, tolerance_for

__all__ = [
    "FEATURES",
    "TOLERANCES",
    "Case",
    "Check",
    "CheckFinished",
    "CheckStarted",
    "Entry",
    "ExpectedFailure",
    "FindToleranceError",
    "Flag",
    "KeepLawError",
    "ModuleSpec",
    "Node",
    "ParityError",
    "PassChecksError",
    "ReadSpecError",
    "Report",
    "SelectCheckError",
    "Status",
    "Subject",
    "Tolerance",
    "ValueType",
    "build_module",
    "cases",
    "check_module",
    "checks",
    "compare_trees",
    "failing_program",
    "flag_arguments",
    "init_variables",
    "inputs",
    "make_inputs",
    "make_rngs",
    "modules",
    "output_types",
    "parametrize_checks",
    "run_check",
    "run_checks",
    "run_report",
    "spec_traits",
    "to_program",
    "tolerance_for",
    "value_types",
]
