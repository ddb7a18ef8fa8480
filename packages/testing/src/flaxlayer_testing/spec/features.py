"""Every feature that a generated module can show, with what it is."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FEATURES"]

_ARGUMENTS = {
    "array_argument": "an array that may be None, beside the inputs",
    "default_argument": "an argument with a default, beside the training argument",
    "enum_argument": "a static enum as an argument",
    "key_argument": "a typed random key as an argument",
    "keyword_argument": "an argument by keyword only, beside the training argument",
    "number_argument": "a static integer as an argument",
    "supplied_key_argument": "an argument that gets a random key from the layer",
    "supplied_rngs_argument": "an argument that gets an nnx.Rngs from the layer",
    "switch_argument": "a static bool as an argument that is no training argument",
    "text_argument": "a static str as an argument",
}

_GRAPH = {
    "dict_output": "outputs in a dict",
    "tuple_output": "outputs in a tuple",
    "nested_output": "outputs in a dict with a list in it",
    "dataclass_output": "outputs in a dataclass",
    "dict_input": "inputs in a dict",
    "tuple_input": "inputs in a tuple",
    "dataclass_input": "inputs in a dataclass",
    "flag": "a training argument",
    "flag_default": "a training argument with a default",
    "flag_keyword_only": "a training argument that is keyword-only",
    "flag_negated": "a training argument whose name means inference",
    "half_input": "an input in half precision",
    "token_input": "an input of token ids",
    "mask_input": "an input that masks elements of another",
    "mask_argument": "an argument `mask`, as Keras hands it on",
    "several_inputs": "more than one input",
    "several_outputs": "more than one output",
    "setup": "submodules made in `setup`",
    "several_methods": "a method that another calls",
    "nested": "a generated module inside another",
    "tied_submodule": "one submodule called twice",
    "state_stream_flag": "state, an rng stream and a training argument in one module",
}

_ARRAYS = {
    "activation": "an activation function",
    "cast": "a change of dtype between layers",
    "concat": "values joined along their features",
    "flatten": "a reshape to one dimension",
    "mean": "a mean over a dimension",
    "merge": "two values of one type joined by a sum, product or maximum",
    "one_hot": "one-hot encoding",
    "pool": "average or maximum pooling",
    "split": "an operation with two results",
    "swap_axes": "two dimensions exchanged",
    "unflatten": "features split into two dimensions",
}

_LAYERS = {
    "batch_norm": "BatchNorm",
    "conv": "a convolution over one or two dimensions",
    "conv_grouped": "a convolution by groups of features, dilated or not",
    "conv_local": "ConvLocal",
    "conv_transpose": "ConvTranspose",
    "conv_volume": "a convolution over three dimensions",
    "dense": "Dense",
    "dense_general": "DenseGeneral",
    "dropout": "Dropout",
    "dropout_stream": "Dropout with a stream of its own name",
    "einsum": "Einsum",
    "embed": "Embed",
    "group_norm": "GroupNorm",
    "instance_norm": "InstanceNorm",
    "layer_norm": "LayerNorm",
    "prelu": "PReLU",
    "rms_norm": "RMSNorm",
    "sequential": "Sequential",
    "spectral_norm": "SpectralNorm",
    "weight_norm": "WeightNorm",
}

_SEQUENCES = {
    "attention": "multi-head attention",
    "attention_dropout": "dropout inside attention",
    "bidirectional": "Bidirectional",
    "causal_attention": "attention under a causal mask",
    "cross_attention": "attention from one sequence to another",
    "decode_cache": "attention that decodes from a cache",
    "recurrent": "a recurrent cell under RNN",
    "recurrent_GRUCell": "GRUCell",
    "recurrent_LSTMCell": "LSTMCell",
    "recurrent_MGUCell": "MGUCell",
    "recurrent_OptimizedLSTMCell": "OptimizedLSTMCell",
    "recurrent_SimpleCell": "SimpleCell",
    "recurrent_frames": "ConvLSTMCell",
    "mask": "a layer or function of a value and its mask",
    "apply_mask": "masked elements set to zero",
    "masked_attention": "attention under a mask that comes from outside",
    "masked_mean": "a mean of what is not masked",
    "masked_norm": "BatchNorm of what is not masked",
    "masked_recurrent": "a recurrent layer over sequences of different lengths",
}

_TRANSFORMS = {
    "add_metadata_axis": "nn.add_metadata_axis",
    "cond": "nn.cond, with state",
    "custom_vjp": "nn.custom_vjp",
    "fold_rngs": "nn.fold_rngs",
    "jit": "nn.jit",
    "map_variables": "nn.map_variables",
    "remat": "nn.remat",
    "remat_scan": "nn.remat_scan",
    "scan": "nn.scan over layers, each with variables of its own",
    "scan_time": "nn.scan over time, with params in common",
    "switch": "nn.switch",
    "vmap": "nn.vmap",
    "while_loop": "nn.while_loop, with state",
}

_VARIABLES = {
    "always_noise": "a custom rng stream that both modes draw from",
    "boxed_sum": "state with partition metadata",
    "compact_name_scope": "compact methods with a scope each",
    "complex_dense": "a complex Dense",
    "count_calls": "a counter that both modes change",
    "count_steps": "a counter that training changes",
    "custom_state": "a collection of the module's own",
    "custom_stream": "an rng stream of the module's own",
    "guarded_average": "state that changes whenever its collection is mutable",
    "has_rng": "a stream that is drawn from where it is there",
    "inference_trace": "state that only inference makes",
    "inheritance": "a module class with the fields of another",
    "lazy_state": "state that only one mode makes",
    "moving_average": "a moving average that training changes",
    "nowrap": "a helper method without a scope",
    "param_bfloat16": "a bfloat16 param of the module's own",
    "param_bool": "a boolean param",
    "param_complex64": "a complex param",
    "param_dtype": "parameters in half precision",
    "param_float16": "a float16 param of the module's own",
    "param_float32": "a float32 param of the module's own",
    "param_int32": "an integer param",
    "partition_metadata": "variables with partition metadata",
    "perturb": "a hidden value whose gradient can be read",
    "share_scope": "a module that shares the scope of another",
    "sow": "sown values",
    "sow_in_training": "losses that are sown in training only",
    "sow_loss": "a sown loss",
    "sow_reducer": "values sown by a reducer that keeps their structure",
    "sow_value": "a sown intermediate",
    "table": "a param of the module's own",
    "tied": "one layer used twice",
    "tied_embed": "an embedding table used for input and output",
    "training_noise": "a custom rng stream that training draws from",
    "training_trace": "state that only training makes",
    "with_logical_partitioning": "params with logical axis names",
    "with_partitioning": "params with names of mesh axes",
}

FEATURES: Mapping[str, str] = {
    name: text
    for part in (_GRAPH, _ARGUMENTS, _ARRAYS, _LAYERS, _SEQUENCES, _TRANSFORMS, _VARIABLES)
    for name, text in sorted(part.items())
}
"""Every feature that a spec can show, with what it is."""
