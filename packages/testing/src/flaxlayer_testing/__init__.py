"""Generated Flax modules, and the comparison that judges a layer that runs them."""

from __future__ import annotations

from flaxlayer_testing.building import (
    build_module,
    flag_arguments,
    init_variables,
    make_inputs,
    make_rngs,
)
from flaxlayer_testing.compare import compare_trees
from flaxlayer_testing.errors import FindToleranceError, ParityError, ReadSpecError
from flaxlayer_testing.graph import FEATURES, output_types, spec_traits, value_types
from flaxlayer_testing.program import to_program
from flaxlayer_testing.specs import Case, Flag, ModuleSpec, Node, ValueType
from flaxlayer_testing.strategies import cases, inputs, modules
from flaxlayer_testing.tolerances import TOLERANCES, Tolerance, tolerance_for

__all__ = [
    "FEATURES",
    "TOLERANCES",
    "Case",
    "FindToleranceError",
    "Flag",
    "ModuleSpec",
    "Node",
    "ParityError",
    "ReadSpecError",
    "Tolerance",
    "ValueType",
    "build_module",
    "cases",
    "compare_trees",
    "flag_arguments",
    "init_variables",
    "inputs",
    "make_inputs",
    "make_rngs",
    "modules",
    "output_types",
    "spec_traits",
    "to_program",
    "tolerance_for",
    "value_types",
]
