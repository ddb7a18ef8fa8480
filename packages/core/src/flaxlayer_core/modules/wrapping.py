"""From a user's module to core's protocol: the one place that tells linen from nnx."""

from __future__ import annotations

from flax import nnx

from flaxlayer_core.modules.factories import is_factory, make_from_factory
from flaxlayer_core.modules.linen import LinenModule
from flaxlayer_core.modules.nnx.module import NnxModule
from flaxlayer_core.modules.nnx.nnx_factories import is_nnx_factory
from flaxlayer_core.modules.protocol import FlaxModule
from flaxlayer_core.typing import Leaf

__all__ = ["wrap_module"]


def wrap_module(module: Leaf) -> FlaxModule:
    """Puts a module behind core's protocol.

    Args:
        module: An unbound instance of `flax.linen.Module`; an instance of `flax.nnx.Module`, a
            subclass of it, or a function of `rngs` that makes one; a function, method or class that
            makes a module of either kind when it is called; or a `functools.partial` of these.

    Returns:
        The module behind the protocol.

    Raises:
        AcceptModuleError: If it is none of these.

    Example:

    ```python
    >>> import flax.linen as nn, functools
    >>> wrap_module(nn.Dense(2)).class_name
    'Dense'
    >>> wrap_module(functools.partial(nnx.Linear, 3, 2)).class_name
    'Linear'
    >>> wrap_module(functools.partial(nn.Dense, 2)).module.features
    2

    ```
    """
    if isinstance(module, nnx.Module) or is_nnx_factory(module):
        return NnxModule(module)
    if not is_factory(module):
        return LinenModule(module)
    made = make_from_factory(module)
    if isinstance(made, nnx.Module):
        return NnxModule(made, origin=module)
    return LinenModule(made, origin=module)
