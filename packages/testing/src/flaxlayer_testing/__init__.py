"""Generated Flax modules, and the checks that judge a layer that runs them.

Names are imported when they are first used, so that pytest can load the plugin, which is a module
of this package, without Keras, JAX and Hypothesis.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flaxlayer_testing.checks import Check, Need, check, checks
    from flaxlayer_testing.compare.tolerances import TOLERANCES, Tolerance, tolerance_for
    from flaxlayer_testing.compare.trees import compare_trees
    from flaxlayer_testing.errors import (
        FindToleranceError,
        KeepLawError,
        LoadTargetError,
        ParityError,
        PassChecksError,
        ReadProjectError,
        ReadRecordError,
        ReadSpecError,
        SelectCheckError,
    )
    from flaxlayer_testing.generate.strategies import (
        LINEN_FEATURES,
        NNX_FEATURES,
        cases,
        inputs,
        modules,
        nnx_cases,
        nnx_modules,
        variables,
    )
    from flaxlayer_testing.render.building import (
        call_arguments,
        flag_arguments,
        init_variables,
        make_arguments,
        make_inputs,
        make_rngs,
    )
    from flaxlayer_testing.render.linen_dialect import build_module
    from flaxlayer_testing.render.nnx_dialect import build_nnx_module
    from flaxlayer_testing.render.program import to_program
    from flaxlayer_testing.report.events import (
        CheckFinished,
        CheckStarted,
        ReportFinished,
        listening,
    )
    from flaxlayer_testing.report.record import FaultResult, Record
    from flaxlayer_testing.report.report import Entry, Report, Status
    from flaxlayer_testing.run.expected import ExpectedFailure
    from flaxlayer_testing.run.fronts import check_module, parametrize_checks, run_check
    from flaxlayer_testing.run.law_search import search_scenarios
    from flaxlayer_testing.run.programs import failing_program
    from flaxlayer_testing.run.running import run_checks, run_report
    from flaxlayer_testing.run.search import search
    from flaxlayer_testing.scenario.course import run_scenario
    from flaxlayer_testing.scenario.drawn_scenarios import scenarios
    from flaxlayer_testing.scenario.scenario import Scenario, Step
    from flaxlayer_testing.scenario.scenario_program import scenario_program
    from flaxlayer_testing.scenario.steps.step_kinds import scenario_step
    from flaxlayer_testing.spec.extras import Extra
    from flaxlayer_testing.spec.features import FEATURES
    from flaxlayer_testing.spec.spec import Case, Flag, ModuleSpec, Node, ValueType
    from flaxlayer_testing.spec.traits import spec_traits
    from flaxlayer_testing.spec.typing import output_types, value_types
    from flaxlayer_testing.subject.subject import Subject

__all__ = [
    "FEATURES",
    "LINEN_FEATURES",
    "NNX_FEATURES",
    "TOLERANCES",
    "Case",
    "Check",
    "CheckFinished",
    "CheckStarted",
    "Entry",
    "ExpectedFailure",
    "Extra",
    "FaultResult",
    "FindToleranceError",
    "Flag",
    "KeepLawError",
    "LoadTargetError",
    "ModuleSpec",
    "Need",
    "Node",
    "ParityError",
    "PassChecksError",
    "ReadProjectError",
    "ReadRecordError",
    "ReadSpecError",
    "Record",
    "Report",
    "ReportFinished",
    "Scenario",
    "SelectCheckError",
    "Status",
    "Step",
    "Subject",
    "Tolerance",
    "ValueType",
    "build_module",
    "build_nnx_module",
    "call_arguments",
    "cases",
    "check",
    "check_module",
    "checks",
    "compare_trees",
    "failing_program",
    "flag_arguments",
    "init_variables",
    "inputs",
    "listening",
    "make_arguments",
    "make_inputs",
    "make_rngs",
    "modules",
    "nnx_cases",
    "nnx_modules",
    "output_types",
    "parametrize_checks",
    "run_check",
    "run_checks",
    "run_report",
    "run_scenario",
    "scenario_program",
    "scenario_step",
    "scenarios",
    "search",
    "search_scenarios",
    "spec_traits",
    "to_program",
    "tolerance_for",
    "value_types",
    "variables",
]

_HOMES = {
    "render.building": (
        "call_arguments",
        "flag_arguments",
        "init_variables",
        "make_arguments",
        "make_inputs",
        "make_rngs",
    ),
    "checks": ("Check", "Need", "check", "checks"),
    "compare.trees": ("compare_trees",),
    "report.events": ("CheckFinished", "CheckStarted", "ReportFinished", "listening"),
    "run.expected": ("ExpectedFailure",),
    "spec.features": ("FEATURES",),
    "spec.extras": ("Extra",),
    "run.fronts": ("check_module", "parametrize_checks", "run_check"),
    "spec.typing": ("output_types", "value_types"),
    "render.linen_dialect": ("build_module",),
    "render.nnx_dialect": ("build_nnx_module",),
    "render.program": ("to_program",),
    "run.programs": ("failing_program",),
    "report.record": ("FaultResult", "Record"),
    "report.report": ("Entry", "Report", "Status"),
    "run.running": ("run_checks", "run_report"),
    "run.search": ("search",),
    "run.law_search": ("search_scenarios",),
    "scenario.course": ("run_scenario",),
    "scenario.drawn_scenarios": ("scenarios",),
    "scenario.scenario": ("Scenario", "Step"),
    "scenario.scenario_program": ("scenario_program",),
    "scenario.steps.step_kinds": ("scenario_step",),
    "spec.spec": ("Case", "Flag", "ModuleSpec", "Node", "ValueType"),
    "generate.strategies": (
        "LINEN_FEATURES",
        "NNX_FEATURES",
        "cases",
        "inputs",
        "modules",
        "nnx_cases",
        "nnx_modules",
        "variables",
    ),
    "subject.subject": ("Subject",),
    "compare.tolerances": ("TOLERANCES", "Tolerance", "tolerance_for"),
    "spec.traits": ("spec_traits",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


class _Package(ModuleType):
    """The package, whose name `checks` stays the function when its folder is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name == "checks" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    home = _HOME.get(name, "errors")
    if home != "errors":  # all else imports Keras
        importlib.import_module("flaxlayer_core").require_backend()
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
