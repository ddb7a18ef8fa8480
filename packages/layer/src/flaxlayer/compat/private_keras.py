"""The private APIs of Keras that the layer needs, each with its reason.

Checked with the versions of docs/versions.md (tests/compat/test_private_keras.py).

- `keras.src.backend.in_stateless_scope`, `get_keras_mask`: Keras has no public question for "is a
  StatelessScope open?" nor for the mask that travels on a tensor; a layer needs both (A4, A6).
- `Layer._call_has_mask_arg`: Keras finds it in the signature of `call`, which is one for all
  modules; `TimeDistributed` and `Sequential` pass a mask to those layers that have it set (A4).
- the `current_call_ctx` and `distribution` attributes of Keras's global state, and
  `Layer._remat_mode` (since Keras 3.9): they tell whether this call is the outermost one and a
  plain one, which may then skip what `Layer.__call__` does for the others (A6).
- the hooks of `torch.nn.Module`, which layers are on torch: they see a call only if it goes through
  `Layer.__call__`.
- `keras.Variable._value`: `Variable.value` asks for scopes at each read, which for the hundred
  variables of a transformer takes longer than the compiled call itself; and what writes a file asks
  for the whole of a variable that is divided among processes, which must gather it then (D3).
- `Layer._inbound_nodes` and `Node.arguments`: Keras 3.6 records in a functional model the mask that
  it fills in for a `call`, which would then be one that the caller gave (W5).
- `Layer._build_shapes_dict`: Keras keeps there what `build` got, for `model.summary()`; with the
  data of the first call in it, that batch would live as long as the layer.
- `keras.src.backend.common.symbolic_scope.in_symbolic_scope`: in one nothing is computed, and a
  float may stand for any dtype: Keras builds a model from shapes in one (A10).
- `Layer._tracker`, `_untrack_variable`, `_open_name_scope`: a layer whose variables turn out wrong
  at the first call, or in a file, gets others, after Keras has locked it (A10, W4).
- `Layer._tracker` and its `config`, `stored_ids` and `locked`: a layer that could not be built from
  a file is put back to what it was, with what Keras wrote on it and tracks of it (S6).
- the `_keras_call_info_injected` attribute of exceptions: Keras rewrites the message of an error
  that leaves `Layer.call`, unless it is set (§11).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

import jax
import keras
from keras.src import backend as keras_backend
from keras.src.backend.common import global_state, symbolic_scope

from flaxlayer.typing import BackendArray, PyTree

__all__ = [
    "announce_mask",
    "forget_filled_mask",
    "get_mask",
    "in_stateless_scope",
    "in_symbolic_scope",
    "is_plain_call",
    "keep_build_shape",
    "keep_message",
    "keeps_message",
    "raw_values",
    "restoring",
    "retracking",
    "scope_of",
    "showing",
]

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def in_stateless_scope() -> bool:
    """Tells whether a `keras.StatelessScope` is open in this thread."""
    return bool(keras_backend.in_stateless_scope())


def in_symbolic_scope() -> bool:
    """Tells whether a `keras.SymbolicScope` is open in this thread."""
    return bool(symbolic_scope.in_symbolic_scope())


@contextlib.contextmanager
def retracking(layer: keras.layers.Layer, old: Iterable[keras.Variable]) -> Iterator[None]:
    """Lets a layer take new variables instead of old ones, locked or not."""
    tracker = layer._tracker
    locked = tracker.locked
    tracker.unlock()
    for variable in old:
        layer._untrack_variable(variable)
    try:
        yield
    finally:
        if locked:
            tracker.lock()


@contextlib.contextmanager
def restoring(layer: keras.layers.Layer, *parts: object) -> Iterator[None]:
    """Puts the attributes of a layer back, and what Keras tracks of it, if what runs inside fails.

    Args:
        layer: The layer.
        *parts: Objects whose attributes are put back too.
    """
    tracker = layer._tracker
    known = [(owner, dict(vars(owner))) for owner in (layer, *parts)]
    tracked = {name: list(values) for name, (_, values) in tracker.config.items()}
    locked = tracker.locked
    try:
        yield
    except BaseException:
        for owner, attributes in known:
            vars(owner).clear()
            vars(owner).update(attributes)
        for name, (_, values) in tracker.config.items():
            values[:] = tracked[name]
            tracker.stored_ids[name] = set(map(id, values))
        tracker.locked = locked
        raise


def scope_of(layer: keras.layers.Layer) -> contextlib.AbstractContextManager[object]:
    """Opens the name scope in which the variables of a layer get their paths."""
    scope: contextlib.AbstractContextManager[object] = layer._open_name_scope()
    return scope


def is_plain_call(layer: keras.layers.Layer, arrays: Iterable[BackendArray]) -> bool:
    """Tells whether `Layer.__call__` would only pass this eager call on.

    That is so for the outermost call of a layer, outside of any scope, distribution, quantisation
    or rematerialisation, with nothing to check on its inputs or to add for its outputs, and no mask
    that travels on an array.

    Args:
        layer: The layer.
        arrays: The arrays that it is called on.
    """
    for array in arrays:
        if keras_backend.get_keras_mask(array) is not None:
            return False
    return (
        global_state.get_global_attribute("current_call_ctx") is None
        and global_state.get_global_attribute("distribution") is None
        and not keras_backend.in_stateless_scope()
        and layer.activity_regularizer is None
        and layer.input_spec is None
        and not getattr(layer, "_remat_mode", None)
        and layer.quantization_mode is None
        and (_HOOKS[0] not in vars(layer) or not _has_hooks(layer))
    )


def _has_hooks(layer: keras.layers.Layer) -> bool:
    return any(vars(layer).get(name) for name in _HOOKS)


def get_mask(tensor: BackendArray) -> BackendArray | None:
    """Returns the mask that travels on a tensor, None if there is none."""
    return keras_backend.get_keras_mask(tensor)


def announce_mask(layer: keras.layers.Layer, *, takes: bool) -> None:
    """Tells Keras's containers whether a layer takes a mask."""
    layer._call_has_mask_arg = takes


def forget_filled_mask(layer: keras.layers.Layer) -> None:
    """Lets a functional model fill in the mask of a layer anew at each call.

    Args:
        layer: A layer that was called on Keras tensors just now, without a mask.
    """
    arguments = layer._inbound_nodes[-1].arguments
    if arguments.kwargs.get("mask") is not None:
        arguments.kwargs = {**arguments.kwargs, "mask": None}


def raw_values(variables: Iterable[keras.Variable]) -> list[jax.Array]:
    """Returns the arrays of initialised variables, outside of any scope."""
    return [variable._value for variable in variables]


@contextlib.contextmanager
def showing(variables: Sequence[keras.Variable], values: Sequence[object]) -> Iterator[None]:
    """Lets variables show other values, which `numpy.asarray` can read, while a file is written."""
    held = raw_values(variables)
    try:
        for variable, value in zip(variables, values, strict=True):
            variable._value = value
        yield
    finally:
        for variable, value in zip(variables, held, strict=True):
            variable._value = value


def keep_build_shape(layer: keras.layers.Layer, shape: PyTree) -> None:
    """Replaces what Keras remembers of a build: what `compute_output_shape` will get."""
    layer._build_shapes_dict = {"input_shape": shape}


def keep_message(error: Exception) -> bool:
    """Marks an error, so that Keras passes it on as it is; False if it takes no mark."""
    try:
        error._keras_call_info_injected = True  # type: ignore[attr-defined]
    except AttributeError:  # a class without a `__dict__`, as those of compiled extensions
        return False
    return True


def keeps_message(error: Exception) -> bool:
    """Tells whether Keras passes an error on as it is."""
    return hasattr(error, "_keras_call_info_injected")
