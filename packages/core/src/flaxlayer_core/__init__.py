"""Semantics of Flax modules for a layer, with no dependency on Keras.

The package says what a Flax module's variables are to a layer (collections and their roles), finds
it out by abstract evaluation, derives random keys, completes the arguments of calls, and turns a
module's configuration into JSON and back. Laws are those of the specification: C, R, A, B, S.

Its words:

collection
    A named part of a module's variables, such as `"params"`: of an nnx module, all of one type.
role
    What a collection is to a layer: trainable, state, or transient, which passes by (C2).
path
    The names from a collection down to a variable, which is its name in files too (W1).
layout
    Which variables are stored, with shape, dtype and role: `VariableLayout`.
given
    Of variables: what the user hands over in the place of initial values (B4).
stream
    A named source of random keys that a module draws from (R1).
mode
    Training or inference. A `ModePlan` says how a module is applied in one.
facts
    What is known of a module before it runs, beside `FlaxModule`, which runs it.
late state
    State that a module makes when it is applied, and not at init: it gets a place beforehand.
call
    A `ModuleCall` is a module with its method and the static side of the arguments.
spec
    An `ArraySpec` describes an input, a `ModuleSpec` what a module stores and how it runs, a
    `BuildSpec` both for a build.
abstract
    With shapes and dtypes and no values; sizes that are unknown are symbols (B1).
static
    What is no array among arguments and outputs: `partition` tells the two apart, and `combine`
    puts them together (A1).
factory
    What makes a module when it is called, in the place of the module (S5).
kind, codec, world
    How one sort of values of a configuration is stored; how objects of one class are; the classes
    and functions that a file may name (S2).
"""

from flaxlayer_core.ambient import holding
from flaxlayer_core.compat.private_jax import prng_impl, trace_state_clean
from flaxlayer_core.compat.private_jaxprs import dce
from flaxlayer_core.compat.private_nnx import variable_value
from flaxlayer_core.config.coding import decode_module, decode_value, encode_module, encode_value
from flaxlayer_core.config.implicit_registration import remember
from flaxlayer_core.config.kinds.makers import remember_maker
from flaxlayer_core.config.limits import Limits
from flaxlayer_core.config.registration import register
from flaxlayer_core.config.reports import explain, shorten
from flaxlayer_core.config.world import add_registry, look_up
from flaxlayer_core.discovery.build import BuildSpec, infer_build_spec
from flaxlayer_core.discovery.initial_values import initial_variables, partition_axes
from flaxlayer_core.discovery.masks.mask_arguments import (
    MaskForm,
    MaskUse,
    add_masks,
    argument_names,
)
from flaxlayer_core.discovery.masks.mask_plan import MaskPlan, MaskQuestion, plan_masks
from flaxlayer_core.discovery.module_call import InitTrace, ModuleCall
from flaxlayer_core.discovery.module_spec import ModePlan, ModuleSpec
from flaxlayer_core.discovery.search import infer_call_spec, infer_module_spec
from flaxlayer_core.discovery.sizes import (
    NoSizeFitsError,
    evaluate_for_sizes,
    first_that_fits,
    infer_output_specs,
)
from flaxlayer_core.errors import (
    AcceptModuleError,
    BuildModuleError,
    CallArgumentError,
    DecodeModuleError,
    DistributeModelError,
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
from flaxlayer_core.garbage import collecting_rarely
from flaxlayer_core.jaxprs.interpreter import eval_jaxpr
from flaxlayer_core.jaxprs.traced import UNTRACEABLE, equations
from flaxlayer_core.keras_backend import prefer_jax, require_backend
from flaxlayer_core.message_lists import list_some
from flaxlayer_core.modules.factories import is_factory
from flaxlayer_core.modules.key_arguments import find_key_arguments
from flaxlayer_core.modules.linen import LinenModule
from flaxlayer_core.modules.nnx.module import NnxModule
from flaxlayer_core.modules.protocol import NO_MODES, FlaxModule
from flaxlayer_core.modules.signatures import AUTO_MASK, MethodSignature
from flaxlayer_core.modules.wrapping import wrap_module
from flaxlayer_core.random.keys import init_rngs, next_seed, stream_rngs
from flaxlayer_core.shapes import (
    ArraySpec,
    abstract_inputs,
    drop_symbols,
    is_symbolic,
    symbolic_arrays,
)
from flaxlayer_core.size_bounds import SizeBound, count_bytes
from flaxlayer_core.trees.arguments import ArgumentStructure, partition
from flaxlayer_core.trees.array_types import holds_numbers, is_array
from flaxlayer_core.trees.collections import (
    merge_collections,
    normalize_variables,
    split_collections,
)
from flaxlayer_core.trees.container_parts import register_plain_container
from flaxlayer_core.trees.forms import as_form, is_form
from flaxlayer_core.trees.graph_objects import GraphPart, merge_graph, split_graph
from flaxlayer_core.trees.matching import as_arrays, match_variables, refuse_given
from flaxlayer_core.trees.names import as_names
from flaxlayer_core.trees.outlines import Outline, exchange_leaves, outline_outputs
from flaxlayer_core.trees.outputs import Static, has_sealed, unwrap_statics, wrap_statics
from flaxlayer_core.trees.overlays import fill_missing, replace_leaves
from flaxlayer_core.trees.parts import KeyData, has_parts, take_apart
from flaxlayer_core.trees.path_patterns import match_paths
from flaxlayer_core.trees.paths import escape_part, flatten_with_paths, format_path, parse_path
from flaxlayer_core.trees.roles import OVERWRITE_WITH_GRADIENT, CollectionPolicy, Role, decide_role
from flaxlayer_core.trees.structures import same_structure
from flaxlayer_core.trees.variable_layout import VariableLayout, VariableSpec
from flaxlayer_core.typing import Array, Path, PyTree, Rngs, Variables

__all__ = [
    "AUTO_MASK",
    "NO_MODES",
    "OVERWRITE_WITH_GRADIENT",
    "UNTRACEABLE",
    "AcceptModuleError",
    "ArgumentStructure",
    "Array",
    "ArraySpec",
    "BuildModuleError",
    "BuildSpec",
    "CallArgumentError",
    "CollectionPolicy",
    "DecodeModuleError",
    "DistributeModelError",
    "DrawKeysError",
    "EncodeModuleError",
    "EscapeTraceError",
    "ExportModelError",
    "FlaxLayerError",
    "FlaxModule",
    "GraphPart",
    "ImportBackendError",
    "ImportExtraError",
    "InitTrace",
    "InspectMethodError",
    "KeyData",
    "Limits",
    "LinenModule",
    "LowerModuleError",
    "MaskForm",
    "MaskPlan",
    "MaskQuestion",
    "MaskUse",
    "MatchPathPatternError",
    "MatchVariablesError",
    "MatchWeightsFileError",
    "MethodSignature",
    "ModePlan",
    "ModuleCall",
    "ModuleSpec",
    "NnxModule",
    "NoSizeFitsError",
    "Outline",
    "Path",
    "PyTree",
    "ReadUnbuiltError",
    "ReadVariablesError",
    "Rngs",
    "Role",
    "RunModuleError",
    "SelectBackendError",
    "SizeBound",
    "StateStructureError",
    "Static",
    "StoreDtypeError",
    "VariableLayout",
    "VariableSpec",
    "Variables",
    "abstract_inputs",
    "add_masks",
    "add_registry",
    "argument_names",
    "as_arrays",
    "as_form",
    "as_names",
    "collecting_rarely",
    "count_bytes",
    "dce",
    "decide_role",
    "decode_module",
    "decode_value",
    "drop_symbols",
    "encode_module",
    "encode_value",
    "equations",
    "escape_part",
    "eval_jaxpr",
    "evaluate_for_sizes",
    "exchange_leaves",
    "explain",
    "fill_missing",
    "find_key_arguments",
    "first_that_fits",
    "flatten_with_paths",
    "format_path",
    "has_parts",
    "has_sealed",
    "holding",
    "holds_numbers",
    "infer_build_spec",
    "infer_call_spec",
    "infer_module_spec",
    "infer_output_specs",
    "init_rngs",
    "initial_variables",
    "is_array",
    "is_factory",
    "is_form",
    "is_symbolic",
    "list_some",
    "look_up",
    "match_paths",
    "match_variables",
    "merge_collections",
    "merge_graph",
    "next_seed",
    "normalize_variables",
    "outline_outputs",
    "parse_path",
    "partition",
    "partition_axes",
    "plan_masks",
    "prefer_jax",
    "prng_impl",
    "refuse_given",
    "register",
    "register_plain_container",
    "remember",
    "remember_maker",
    "replace_leaves",
    "require_backend",
    "same_structure",
    "shorten",
    "split_collections",
    "split_graph",
    "stream_rngs",
    "symbolic_arrays",
    "take_apart",
    "trace_state_clean",
    "unwrap_statics",
    "variable_value",
    "wrap_module",
    "wrap_statics",
]
