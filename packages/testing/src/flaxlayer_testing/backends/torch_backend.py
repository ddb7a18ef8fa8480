"""The layer under test on torch: it takes tensors, and its gradients are those of autograd."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from flaxlayer_testing.oracle.call import is_array

__all__ = ["TorchBackend"]


class TorchBackend:
    """What the checks ask of torch; see the protocol for each method."""

    name = "torch"
    shares_programs = False
    environment: tuple[str, ...] = ("KERAS_BACKEND=torch",)
    distributions: tuple[str, ...] = ("torch",)
    traces_models = False

    def is_array(self, leaf: Any) -> bool:
        """Tells whether a leaf is a tensor or an array of JAX or NumPy."""
        return isinstance(leaf, torch.Tensor) or is_array(leaf)

    def to_backend(self, tree: Any) -> Any:
        """Returns tensors for arrays of numbers; random keys stay, which no tensor can be."""
        return jax.tree_util.tree_map(_to_tensor, tree)

    def to_arrays(self, tree: Any) -> Any:
        """Returns arrays of NumPy for tensors."""
        return jax.tree_util.tree_map(_to_array, tree)

    def to_numpy(self, value: Any) -> np.ndarray[Any, Any]:
        """Returns a copy."""
        return np.array(_to_array(value))

    def duplicate(self, array: Any) -> Any:
        """Returns another tensor."""
        return array.clone()

    def variable_name(self, name: str) -> str:
        """Returns the name with its slashes and dots escaped: modules of torch take no dot."""
        return name.replace("%", "%25").replace("/", "%2F").replace(".", "%2E")

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns a function of tensors: users of torch compile nothing that JAX has compiled."""
        return lambda *args: self.to_arrays(function(*self.to_backend(args)))

    def gradients(
        self,
        loss: Callable[[list[Any], list[Any], list[Any]], Any],
        trainable: Sequence[Any],
        inputs: Sequence[Any],
        rest: Sequence[Any],
    ) -> tuple[list[Any], list[Any]]:
        """Returns those of autograd."""
        values, arrays = self.to_backend(list(trainable)), self.to_backend(list(inputs))
        asked = [value.detach().clone().requires_grad_() for value in (*values, *arrays)]
        count = len(values)
        total = loss(asked[:count], asked[count:], list(rest))
        found: Sequence[Any] = [torch.zeros_like(value) for value in asked]
        if total.requires_grad:
            found = torch.autograd.grad(total, asked, materialize_grads=True)
        gradients = [_conjugate(gradient) for gradient in self.to_arrays(list(found))]
        return gradients[:count], gradients[count:]

    def probe_loss(self, outputs: Any) -> Any:
        """Returns the loss."""
        total = torch.zeros((), dtype=torch.float32)
        for leaf in jax.tree_util.tree_leaves(outputs):
            if not isinstance(leaf, torch.Tensor):
                continue
            if leaf.is_floating_point() or leaf.is_complex():
                flat = torch.real(leaf).reshape(-1).to(torch.float32)
                weights = np.cos(np.arange(leaf.numel(), dtype=np.float32))
                # An empty one counts for nothing, yet has a gradient, as in JAX: zeros.
                mean = torch.mean if leaf.numel() else torch.sum
                total = total + mean(flat * torch.from_numpy(weights).to(flat.device))
        return total

    def descent(self, gradients: Any) -> Any:
        """Returns the conjugates of complex ones, which is what autograd gives."""
        return jax.tree_util.tree_map(_conjugate, gradients)

    def batches(self, arrays: Sequence[Any], *, any_batch: bool) -> Iterable[Any]:
        """Yields the batch; torch knows all sizes."""
        del any_batch
        tensors = list(map(_to_tensor, arrays))
        return ((tensors,) for _ in itertools.count())


def _to_tensor(leaf: Any) -> Any:
    if not is_array(leaf):
        return leaf
    if jnp.issubdtype(leaf.dtype, jax.dtypes.extended) or leaf.dtype.kind in "OSU":
        return leaf
    array = np.array(leaf)
    if array.dtype == jnp.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _to_array(leaf: Any) -> Any:
    if not isinstance(leaf, torch.Tensor):
        return leaf
    leaf = leaf.detach().resolve_conj().resolve_neg().cpu()
    if leaf.dtype == torch.bfloat16:
        return leaf.float().numpy().astype(jnp.bfloat16)
    return leaf.numpy()


def _conjugate(array: Any) -> Any:
    return array.conj() if np.issubdtype(array.dtype, np.complexfloating) else array
