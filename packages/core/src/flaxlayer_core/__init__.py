"""Variable-collection semantics for Flax modules, with no dependency on Keras.

The package says what a Flax module's variables are to a layer (collections and their roles), finds
it out by abstract evaluation, derives random keys, completes the arguments of calls, and turns a
module's configuration into JSON and back. Laws are those of the specification: C, R, A, B, S.
"""

from flaxlayer_core.arguments import ArgumentStructure, split_arguments
from flaxlayer_core.array_types import is_array
from flaxlayer_core.building import Blueprint, examine, output_specs
from flaxlayer_core.collections import (
    CollectionPolicy,
    Role,
    VariableLayout,
    VariableSpec,
    decide_role,
    merge_collections,
    normalize_variables,
    same_structure,
    split_collections,
)
from flaxlayer_core.containers import plain_container, register_plain_container
from flaxlayer_core.discovery import discover
from flaxlayer_core.errors import (
    AcceptModuleError,
    BuildModuleError,
    CallArgumentError,
    DecodeModuleError,
    DrawKeysError,
    EncodeModuleError,
    EscapeTraceError,
    ExportModelError,
    FlaxLayerError,
    ImportBackendError,
    ImportExtraError,
    InspectMethodError,
    LowerModuleError,
    MatchPathPatternError,
    MatchVariablesError,
    MatchWeightsFileError,
    ReadUnbuiltError,
    ReadVariablesError,
    RunModuleError,
    SelectBackendError,
    StateStructureError,
    StoreDtypeError,
)
from flaxlayer_core.factories import is_factory
from flaxlayer_core.given import (
    as_arrays,
    as_form,
    fit_variables,
    is_form,
    merge_missing,
    override_variables,
    refuse_given,
)
from flaxlayer_core.initialising import forget_trace, initial_variables, partition_axes
from flaxlayer_core.key_arguments import find_key_arguments
from flaxlayer_core.keys import init_rngs, next_seed, stream_rngs
from flaxlayer_core.linen import LinenModule
from flaxlayer_core.listing import list_some
from flaxlayer_core.mask_arguments import MaskForm, MaskUse, add_masks, argument_names
from flaxlayer_core.masks import MaskPlan, MaskQuestion, plan_masks
from flaxlayer_core.nnx import NnxModule
from flaxlayer_core.outlines import Outline, exchange_leaves, outline_outputs
from flaxlayer_core.outputs import StaticLeaf, has_sealed, unwrap_statics, wrap_statics
from flaxlayer_core.paths import (
    Path,
    escape_part,
    flatten_with_paths,
    format_path,
    parse_path,
)
from flaxlayer_core.patterns import match_paths
from flaxlayer_core.plans import Discovery, ModePlan, Probe
from flaxlayer_core.protocol import FlaxModule, Rngs
from flaxlayer_core.shapes import ArraySpec, Binding, bindings, drop_symbols
from flaxlayer_core.signatures import AUTO_MASK, MethodCall
from flaxlayer_core.size_bounds import SizeBound, count_bytes
from flaxlayer_core.taking_apart import KeyData, has_parts, take_apart
from flaxlayer_core.tracing import UNTRACEABLE
from flaxlayer_core.wrapping import wrap_module

__all__ = [
    "AUTO_MASK",
    "UNTRACEABLE",
    "AcceptModuleError",
    "ArgumentStructure",
    "ArraySpec",
    "Binding",
    "Blueprint",
    "BuildModuleError",
    "CallArgumentError",
    "CollectionPolicy",
    "DecodeModuleError",
    "Discovery",
    "DrawKeysError",
    "EncodeModuleError",
    "EscapeTraceError",
    "ExportModelError",
    "FlaxLayerError",
    "FlaxModule",
    "ImportBackendError",
    "ImportExtraError",
    "InspectMethodError",
    "KeyData",
    "LinenModule",
    "LowerModuleError",
    "MaskForm",
    "MaskPlan",
    "MaskQuestion",
    "MaskUse",
    "MatchPathPatternError",
    "MatchVariablesError",
    "MatchWeightsFileError",
    "MethodCall",
    "ModePlan",
    "NnxModule",
    "Outline",
    "Path",
    "Probe",
    "ReadUnbuiltError",
    "ReadVariablesError",
    "Rngs",
    "Role",
    "RunModuleError",
    "SelectBackendError",
    "SizeBound",
    "StateStructureError",
    "StaticLeaf",
    "StoreDtypeError",
    "VariableLayout",
    "VariableSpec",
    "add_masks",
    "argument_names",
    "as_arrays",
    "as_form",
    "bindings",
    "count_bytes",
    "decide_role",
    "discover",
    "drop_symbols",
    "escape_part",
    "examine",
    "exchange_leaves",
    "find_key_arguments",
    "fit_variables",
    "flatten_with_paths",
    "forget_trace",
    "format_path",
    "has_parts",
    "has_sealed",
    "init_rngs",
    "initial_variables",
    "is_array",
    "is_factory",
    "is_form",
    "list_some",
    "match_paths",
    "merge_collections",
    "merge_missing",
    "next_seed",
    "normalize_variables",
    "outline_outputs",
    "output_specs",
    "override_variables",
    "parse_path",
    "partition_axes",
    "plain_container",
    "plan_masks",
    "refuse_given",
    "register_plain_container",
    "same_structure",
    "split_arguments",
    "split_collections",
    "stream_rngs",
    "take_apart",
    "unwrap_statics",
    "wrap_module",
    "wrap_statics",
]
