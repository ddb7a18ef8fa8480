"""A conversion by `jax2tf`, and the module that it hands to TensorFlow.

Checked with the versions of docs/versions.md (tests/compat/test_jax2tf_conversions.py).

- `_thread_local_state` of `jax.experimental.jax2tf.jax2tf`: `Model.export` on the JAX backend
  converts by it, and then TensorFlow has to read what JAX writes (S4).
- `NativeSerializationImpl` there: `jax2tf` offers no choice of the version of StableHLO that it
  writes. An object of this class is one conversion: `before_conversion` traces and exports the
  function, `run_fun_tf` gives TensorFlow what `exported` has, and `get_vjp_fun` gives the function
  of the gradients, which the next such object converts, maybe long after, when a SavedModel is
  written. Attributes of that object, and of that function, take the places of these methods: no
  class and no module is changed, and what is set goes with the conversion, however it ends (S4).
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeAlias

from flaxlayer.compat.jax_tracing import symbolic_padding

__all__ = ["in_jax2tf", "rewrite_conversion"]

Rewrite: TypeAlias = Callable[[bytes], bytes]


def in_jax2tf() -> bool:
    """Tells whether `jax2tf.convert` is tracing in this thread."""
    jax2tf = sys.modules.get("jax.experimental.jax2tf.jax2tf")
    if jax2tf is None:
        return False
    return jax2tf._thread_local_state.call_tf_concrete_function_list is not None


def rewrite_conversion(rewrite: Rewrite) -> None:
    """Changes what the conversion that traces in this thread gives TensorFlow; its gradient's too.

    Args:
        rewrite: Gets a serialised module of StableHLO and returns one.
    """
    conversion = _current_conversion()
    if conversion is None or "run_fun_tf" in vars(conversion):
        return
    run, gradient = conversion.run_fun_tf, conversion.get_vjp_fun

    def run_rewritten(tensors: Any) -> Any:
        # Else JAX would take what it traced for the next conversion of the same function, too, and
        # nothing that rewrites would run in that.
        conversion.fun_jax.clear_cache()
        exported = conversion.exported
        module = rewrite(exported.mlir_module_serialized)
        conversion.exported = dataclasses.replace(exported, mlir_module_serialized=module)
        return run(tensors)

    def rewritten_gradient() -> Any:
        function, specs = gradient()
        _rewrite_traced(function, rewrite)
        return function, specs

    conversion.run_fun_tf, conversion.get_vjp_fun = run_rewritten, rewritten_gradient


def _rewrite_traced(function: Any, rewrite: Rewrite) -> None:
    # JAX may have the layer's part of it from before, so that no code of the layer runs again.
    trace = function.trace

    def trace_rewritten(*args: Any, **kwargs: Any) -> Any:
        rewrite_conversion(rewrite)
        with symbolic_padding():
            return trace(*args, **kwargs)

    function.trace = trace_rewritten


def _current_conversion() -> Any:
    jax2tf = sys.modules["jax.experimental.jax2tf.jax2tf"]
    code = jax2tf.NativeSerializationImpl.before_conversion.__code__
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return None if frame is None else frame.f_locals["self"]
