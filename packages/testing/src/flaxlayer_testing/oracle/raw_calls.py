"""The raw call of a module, of linen or of nnx: the one place that asks which it is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from flax import nnx

from flaxlayer_testing.oracle.call import RawCall
from flaxlayer_testing.oracle.key_parameters import KeyParameter
from flaxlayer_testing.oracle.linen_call import LinenCall
from flaxlayer_testing.oracle.nnx_call import NnxCall

__all__ = ["is_nnx", "raw_call"]


def is_nnx(module: Any) -> bool:
    """Tells whether a module under test is one of nnx, or what makes one.

    Args:
        module: A linen or nnx module, a class, a function, or a `functools.partial`.

    Returns:
        False for an instance of a linen module.

    Example:

    ```python
    >>> import flax.linen as nn
    >>> is_nnx(nn.Dense(2)), is_nnx(partial(nnx.Linear, 3, 2))
    (False, True)

    ```
    """
    return isinstance(module, nnx.Module | partial | type) or not hasattr(module, "apply")


def raw_call(
    module: Any,
    inputs: tuple[Any, ...],
    arguments: Mapping[str, Any],
    training_arg: str | None = None,
    *,
    keys: tuple[KeyParameter, ...] = (),
    **others: Any,
) -> RawCall:
    """Returns a module with the arguments of one call, run by raw Flax.

    Args:
        module: A linen or nnx module, or what makes one of nnx.
        inputs: Positional arguments: arrays, pytrees, static values.
        arguments: Keyword arguments but the training flag.
        training_arg: The training argument where its name is not customary.
        keys: Parameters that get random keys when the arguments have none (R5).
        **others: What else a `RawCall` takes, such as `method`.

    Returns:
        The call.
    """
    call = NnxCall if is_nnx(module) else LinenCall
    return call(module, inputs, arguments, training_arg, keys=keys, **others)
