"""The names, and nothing else, that loading may resolve without registration (S2).

Every entry is pure: it reads and writes nothing but its arguments. A name that an installed version
lacks is skipped.
"""

from __future__ import annotations

__all__ = [
    "CHECKPOINT_POLICIES",
    "FLAX_LINEN",
    "INITIALIZERS",
    "JAX_LAX",
    "JAX_NN",
    "JAX_NUMPY",
    "SPECIAL",
]

JAX_NN = """
celu dot_product_attention elu gelu glu hard_sigmoid hard_silu hard_swish hard_tanh identity
leaky_relu log_sigmoid log_softmax logmeanexp logsumexp mish one_hot relu relu6 selu sigmoid
silu soft_sign softmax softplus sparse_plus sparse_sigmoid squareplus standardize swish tanh
"""

INITIALIZERS = """
constant delta_orthogonal glorot_normal glorot_uniform he_normal he_uniform kaiming_normal
kaiming_uniform lecun_normal lecun_uniform normal ones orthogonal truncated_normal uniform
variance_scaling xavier_normal xavier_uniform zeros
"""

FLAX_LINEN = """
celu elu gelu glu hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu log_sigmoid log_softmax
logsumexp normalize one_hot relu relu6 selu sigmoid silu soft_sign softmax softplus standardize
swish tanh avg_pool max_pool pool combine_masks dot_product_attention
dot_product_attention_weights make_attention_mask make_causal_mask ones ones_init zeros
zeros_init with_logical_constraint with_logical_partitioning with_partitioning merge_param
"""

JAX_NUMPY = """
abs absolute acos acosh add all any amax amin arccos arccosh arcsin arcsinh arctan arctan2
arctanh argmax argmin asin asinh atan atan2 atanh average cbrt ceil clip concatenate conj
conjugate cos cosh cumprod cumsum deg2rad degrees divide dot einsum equal exp exp2 expand_dims
expm1 fabs float_power floor floor_divide fmax fmin fmod greater greater_equal heaviside hypot
imag inner isfinite isinf isnan less less_equal log log10 log1p log2 logaddexp logaddexp2
logical_and logical_not logical_or logical_xor matmul max maximum mean median min minimum mod
moveaxis multiply nan_to_num negative not_equal outer positive power prod rad2deg radians ravel
real reciprocal remainder reshape rint round sign signbit sin sinc sinh sort sqrt square squeeze
stack std subtract sum swapaxes tan tanh tensordot transpose true_divide trunc var vdot vecdot
where
"""

JAX_LAX = """
abs acos acosh add asin asinh atan atan2 atanh batch_matmul cbrt ceil clamp complex conj
conv_general_dilated cos cosh digamma div dot dot_general erf erf_inv erfc exp exp2 expm1 floor
imag integer_pow is_finite lgamma log log1p logistic max min mul neg pow real reciprocal rem
round rsqrt sign sin sinh sqrt square stop_gradient sub tan tanh top_k
"""

SPECIAL = """
entr erf erfc expit gammaln i0 i0e i1 i1e log_ndtr logit logsumexp ndtr xlog1py xlogy
"""

CHECKPOINT_POLICIES = """
checkpoint_dots checkpoint_dots_with_no_batch_dims dots_saveable
dots_with_no_batch_dims_saveable everything_saveable nothing_saveable
"""
