"""What a failed check of a user's module mostly means, and what to do then."""

from __future__ import annotations

__all__ = ["BY_CHECK", "BY_TOPIC", "advice_for"]

_BUILD = (
    "Init gives other variables than the call uses, or others each time: look for one that is made "
    "under a condition on the inputs, the mode or `is_initializing()`."
)
_CALL = (
    "Something besides fields, variables, keys and inputs decides what the module computes: a "
    "global, a counter in Python, `np.random`. Make it a field or a variable; draw with `make_rng`."
)
_SOWN = (
    "A collection has another role than you think: `layer.summary()` shows them. Say it with "
    "`collections=`, `return_sown=` or `losses=`."
)
_COPY = (
    "The module computes with something that its fields do not hold, such as a global or what its "
    "method captured. Make it a field, or hand `FlaxLayer` a factory, whose arguments are stored."
)
_NAMED = (
    "A file names classes and functions: a lambda, or a class that is made in a function, has no "
    "name that another process knows. Use one of a module, under `flaxlayer.register`."
)
_FROZEN = (
    "A variable changes in another way than by training or by what the call writes back, or two "
    "variables of the module share one array. `layer.freeze(...)` and `summary()` say which paths "
    "are frozen."
)
_LEARN = (
    "The gradient of raw Flax itself may be none to rely on: look for `nan`, for a value with "
    "branches at 0, for rounding that deep products multiply. With `JAX_ENABLE_X64=1` and float64 "
    "inputs a difference of rounding shrinks."
)
_METHOD = (
    "The method needs variables that `__call__` does not make, or makes others: initialise through "
    "the method that touches all of them, `init_method=`."
)
_SIZES = (
    "A size of the first batch is built into the module: a `reshape` with a number, or a variable "
    "that is shaped like the batch. Take sizes from `x.shape` in the call."
)
_MASK = (
    "An argument that takes a mask has another name than `mask`, or means another thing by it: "
    "`mask_arg=` says which, [masks](../guides/masks.md) how."
)
_CAST = (
    "The module sets dtypes by itself: where it casts to float32, a policy cannot do otherwise. "
    "Leave `dtype=None` in its layers, or use the default policy."
)
_KEYS = (
    "The module draws under a condition that differs from call to call, or from a key that it made "
    "itself. Name the streams with `rngs=` where they cannot be found, and draw from `make_rng`."
)
_REFUSED = (
    "The module takes what raw Flax refuses, such as `**kwargs` that swallow a wrong name. Name "
    "the arguments; an error is better than an argument that nobody reads."
)
_STATE = (
    "State changes its form, or changes where the mode says that it does not. Keep structure, "
    "shapes and dtypes of state; guard updates with `is_mutable_collection`; or give the "
    "collection another role with `collections=`."
)
_SETTING = (
    "A setting holds something that JSON cannot, such as a function without a name. "
    "[What a field may hold](../guides/saving.md#what-a-field-may-hold) is true of settings too."
)
_THREADS = (
    "The module keeps something in Python while it is called, which threads share: an attribute, a "
    "list, a global. Return it, or sow it."
)
_OBJECT = (
    "The module changes itself in Python when it is called, beyond its nnx variables. Keep what "
    "changes in an `nnx.Variable`."
)

BY_TOPIC = {
    "build": _BUILD,
    "calls": _CALL,
    "contexts": _CALL,
    "copies": f"{_COPY} {_NAMED}",
    "frozen": _FROZEN,
    "learning": _LEARN,
    "methods": _METHOD,
    "models": _SIZES,
    "objects": _OBJECT,
    "policies": _CAST,
    "randomness": _KEYS,
    "refusals": _REFUSED,
    "refused_loads": _BUILD,
    "settings": _SETTING,
    "state": _STATE,
    "subclassed": _COPY,
    "surroundings": _MASK,
    "threads": _THREADS,
    "weights": _BUILD,
}
BY_CHECK = {
    "check_config": f"{_COPY} {_NAMED}",
    "check_exported_model": "An operation that TensorFlow lacks, such as a callback into Python: "
    "[exports](../exports.md) says what is refused by name. `flaxlayer.export` takes more modules.",
    "check_losses": _SOWN,
    "check_masked_statics": _MASK,
    "check_masks": _MASK,
    "check_object_kept": _OBJECT,
    "check_op_by_op": "The module looks at values, or at whether it is traced, and computes "
    "otherwise then. Raw Flax does too; what the layer compiles is the traced one.",
    "check_returned_sown": _SOWN,
    "check_sequential_model": _BUILD,
    "check_sown": _SOWN,
    "check_subclassed_model": _BUILD,
    "check_training": f"{_CALL} A training flag of another name than "
    "[those that are known](../guides/calls.md#the-training-flag) is said with `training_arg=`.",
    "check_unbuilt_sequential": "The module guesses a dtype of its inputs. Integers reach it as "
    "integers: let it look at `x.dtype` in the call.",
    "check_wrong_state": _STATE,
}


def advice_for(name: str, home: str) -> str:
    """Returns what a failure of a check mostly means, as Markdown.

    Args:
        name: The check.
        home: The module that it stands in.
    """
    return BY_CHECK.get(name) or BY_TOPIC[home.rpartition(".")[2]]
