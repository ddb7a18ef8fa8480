"""The private APIs of Keras that the layer needs, each with its reason.

Checked with the versions of docs/versions.md (tests/compat/test_private_keras.py).

- `keras.src.backend.in_stateless_scope`, `get_keras_mask`: Keras has no public question for "is a
  StatelessScope open?" nor for the mask that travels on a tensor; a layer needs both (A4, A6).
- `Layer._call_has_mask_arg`: Keras finds it in the signature of `call`, which is one for all
  modules; `TimeDistributed` and `Sequential` pass a mask to those layers that have it set (A4).
- the `current_call_ctx` and `distribution` attributes of Keras's global state, and
  `Layer._remat_mode` (since Keras 3.9): they tell whether this call is the outermost one and a
  plain one, which may then skip what `Layer.__call__` does for the others (A6).
- `keras.Variable._value`: `Variable.value` asks for scopes at each read, which for the hundred
  variables of a transformer takes longer than the compiled call itself.
- `Layer._build_shapes_dict`: Keras keeps there what `build` got, for `model.summary()`; with the
  data of the first call in it, that batch would live as long as the layer.
- `keras.src.backend.common.symbolic_scope.in_symbolic_scope`: in one nothing is computed, and a
  float may stand for any dtype: Keras builds a model from shapes in one (A10).
- `Layer._tracker`, `_untrack_variable`, `_open_name_scope`: a layer whose variables turn out wrong
  at the first call, or in a file, gets others, after Keras has locked it (A10, W4).
- `Layer._tracker` and its `config`, `stored_ids` and `locked`: a layer that could not be built from
  a file is put back to what it was, with what Keras wrote on it and tracks of it (S6).
- the frames of `Sequential.build`, `Layer.__call__` and `Functional._convert_inputs_to_tensors`,
  `Sequential._layers`, `KerasTensor._dtype` and `InputLayer._dtype`: a Sequential model that is
  built by its first call takes the dtype of a layer for that of its inputs, casts all inputs to it,
  and tells no layer what it was called with (A10).
- `H5IOStore._h5_entry_group` (`H5Entry.group` before Keras 3.10), and of `ShardedH5IOStore`
  `current_shard_filenames`, `current_shard_path`, `h5_file`, `_get_h5_file`, `_switch_h5_file` and
  `_restore_h5_file`: what Keras hands to `load_own_variables` reads a whole array, and not what the
  file says of it (S3); and where a shard cannot be opened it is left without a file (W4).
- the `_keras_call_info_injected` attribute of exceptions: Keras rewrites the message of an error
  that leaves `Layer.call`, unless it is set (§11).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import jax
import keras
from keras.src import backend as keras_backend
from keras.src.backend.common import global_state, symbolic_scope

from flaxlayer.typing import BackendArray, DType, PyTree

__all__ = [
    "SequentialBuild",
    "announce_mask",
    "close_input",
    "get_mask",
    "h5_groups",
    "in_stateless_scope",
    "in_symbolic_scope",
    "is_elsewhere",
    "is_plain_call",
    "keep_build_shape",
    "keep_message",
    "keeps_message",
    "raw_values",
    "reopen",
    "restoring",
    "retracking",
    "scope_of",
    "sequential_builds",
]


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


@dataclass(frozen=True)
class SequentialBuild:
    """A Sequential model that is being built at this moment.

    Attributes:
        model: The model.
        layer: The layer that it has come to.
        tensor: What that layer is called on.
        given: What the model itself was called on, None where it got only a shape.
    """

    model: keras.Sequential
    layer: keras.layers.Layer
    tensor: BackendArray
    given: PyTree

    def passed_on(self, dtype: str) -> str:
        """Returns the dtype that inputs of a dtype have when they come to the layer."""
        first, *others = self.model._layers
        tensor = keras.KerasTensor(first.output.shape, dtype)
        for layer in others[: others.index(self.layer)]:
            tensor = layer.compute_output_spec(tensor)
        return str(tensor.dtype)

    def retype(self, dtype: str) -> None:
        """Gives the inputs of the model a dtype, which reaches the layer as it is."""
        first = self.model._layers[0]
        first._dtype = first.output._dtype = dtype
        self.tensor._dtype = dtype

    def leave_open(self) -> keras.layers.InputLayer:
        """Lets the model pass its inputs on as they are; returns what shall get their dtype."""
        first = self.model._layers[0]
        first.output.__class__ = _OpenTensor
        return first


class _OpenTensor(keras.KerasTensor):
    """The input of a Sequential model that casts nothing to its dtype."""

    @property
    def dtype(self) -> str | None:
        """None for the model that converts its inputs to it."""
        callers = (sys._getframe(1), sys._getframe(1).f_back)  # it may ask in a comprehension
        asked = any(f and f.f_code.co_name == "_convert_inputs_to_tensors" for f in callers)
        return None if asked else self._dtype


def close_input(layer: keras.layers.InputLayer, dtypes: Iterable[DType]) -> None:
    """Gives an input layer that was left open the first of some dtypes."""
    for dtype in dtypes:
        layer.output.__class__ = keras.KerasTensor
        known = keras.backend.standardize_dtype(dtype)
        layer.output._dtype = known
        # Where Keras runs on nnx, a layer refuses attributes inside of a trace.
        object.__setattr__(layer, "_dtype", known)


def sequential_builds() -> list[SequentialBuild]:
    """Returns the Sequential models that are being built at this moment, the outermost first."""
    builds: list[SequentialBuild] = []
    frame: FrameType | None = sys._getframe(1)
    found = None
    while frame is not None:
        # Reading the locals of a frame keeps them alive as long as it runs: Keras's own alone.
        name, module = frame.f_code.co_name, str(frame.f_globals.get("__name__"))
        if name in ("build", "__call__") and module.startswith("keras."):
            known = frame.f_locals
            owner = known.get("self")
            if isinstance(owner, keras.Sequential) and name == "build" and "x" in known:
                found = SequentialBuild(owner, known["layer"], known["x"], None)
                builds.insert(0, found)
            elif found is not None and owner is found.model and name == "__call__":
                args = known.get("original_args", known["args"])  # Keras has cast its `args`
                builds[0] = replace(found, given=[*args, *known["kwargs"].values()][0])
                found = None
        frame = frame.f_back
    return builds


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
    )


def get_mask(tensor: BackendArray) -> BackendArray | None:
    """Returns the mask that travels on a tensor, None if there is none."""
    return keras_backend.get_keras_mask(tensor)


def announce_mask(layer: keras.layers.Layer, *, takes: bool) -> None:
    """Tells Keras's containers whether a layer takes a mask."""
    layer._call_has_mask_arg = takes


def raw_values(variables: Iterable[keras.Variable]) -> list[jax.Array]:
    """Returns the arrays of initialised variables, outside of any scope."""
    return [variable._value for variable in variables]


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


def h5_groups(store: Any) -> Iterator[Any]:
    """Yields the groups of HDF5 behind what Keras has of a file for a layer, one a file.

    Args:
        store: What `load_own_variables` gets; anything else has none.
    """
    group = getattr(store, "_h5_entry_group", getattr(store, "group", None))
    if group is None:
        return
    yield group
    others = [n for n in getattr(store, "current_shard_filenames", ()) if n != _open_shard(store)]
    try:
        for name in others:
            store._switch_h5_file(name, mode="r")
            yield store._h5_entry_group
    finally:
        if others:
            store._restore_h5_file()


def is_elsewhere(store: Any, group: Any) -> bool:
    """Tells whether a group of HDF5 is of another file than what Keras has opened."""
    return getattr(getattr(group, "file", None), "filename", None) not in (
        None,
        getattr(store.h5_file, "filename", None),
    )


def reopen(store: Any) -> None:
    """Opens what Keras has of a file again, where it could not go on to a further shard.

    A store with no open file is false, and Keras takes the next layer from it for loaded.
    """
    if getattr(store, "current_shard_path", None) is not None and not store:
        store.h5_file = store._get_h5_file(store.current_shard_path)


def _open_shard(store: Any) -> str:
    return str(store.current_shard_path.name)
