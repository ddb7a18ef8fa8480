"""The private APIs of torch that the layer needs, and those of JAX for tensors.

Checked with torch 2.13 and JAX 0.10.2 (tests/compat/test_private_torch.py).

- `torch._C._autograd._top_saved_tensors_default_hooks`: what a gradient is computed from stays
  with JAX, unless a hook wants it, as that of `torch.utils.checkpoint` does; there is no public
  question for "is a hook set in this thread?".
- `torch._C._autograd._get_current_graph_task_keep_graph`: torch lets go of saved tensors after a
  backward pass that does not keep the graph, and what stayed with JAX has to go with them.
- `torch.nn.modules.module._has_any_global_hook`: hooks on all modules see a call only if it goes
  through `Module.__call__` (A6).
- `jaxlib._jax.buffer_to_dlpack_managed_tensor`, `dlpack_managed_tensor_to_buffer`: the public
  functions take five and ten times as long, for each of a hundred arrays of a step. Where they are
  missing, and on other devices than the CPU, the public ones do the same. `Array.platform` tells
  which device that is.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import jax
import torch

__all__ = ["export_array", "has_global_hooks", "has_saving_hooks", "import_tensor", "keeps_graph"]

try:
    _jaxlib: Any = importlib.import_module("jaxlib._jax")
    _export: Any = _jaxlib.buffer_to_dlpack_managed_tensor
    _import: Any = _jaxlib.dlpack_managed_tensor_to_buffer
except (ImportError, AttributeError):  # another JAX
    _export = _import = None


def export_array(array: jax.Array) -> torch.Tensor:
    """Returns a tensor in the memory of an array."""
    if _export is None or array.platform() != "cpu":
        return torch.from_dlpack(array)
    return torch.utils.dlpack.from_dlpack(_export(array, stream=None))


def import_tensor(tensor: torch.Tensor) -> jax.Array:
    """Returns an array in the memory of a dense tensor; a copy where that is not aligned."""
    if _import is None or tensor.device.type != "cpu":
        public: jax.Array = jax.dlpack.from_dlpack(tensor)
        return public
    array: jax.Array = _import(torch.utils.dlpack.to_dlpack(tensor), _cpu(), None)
    return array


@functools.cache
def _cpu() -> jax.Device:
    return jax.local_devices(backend="cpu")[0]


def has_saving_hooks() -> bool:
    """Tells whether this thread is in a `torch.autograd.graph.saved_tensors_hooks`."""
    return torch._C._autograd._top_saved_tensors_default_hooks(True) is not None


def keeps_graph() -> bool:
    """Tells whether the backward pass under way keeps what was saved for it."""
    return bool(torch._C._autograd._get_current_graph_task_keep_graph())


def has_global_hooks() -> bool:
    """Tells whether a hook is registered for all modules."""
    return bool(torch.nn.modules.module._has_any_global_hook())
