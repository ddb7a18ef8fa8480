"""Finds the training argument of a raw Flax method (A2), without asking the layer under test."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

__all__ = ["mode_arguments"]

TRAINING = ("training", "train", "is_training")
INFERENCE = ("deterministic", "eval", "use_running_average")


def mode_arguments(
    module: Any,
    given: Mapping[str, Any],
    training_arg: str | None,
    *,
    training: bool,
    method: str = "__call__",
) -> dict[str, bool]:
    """Returns the keyword arguments that put a method of a module into a mode.

    Args:
        module: A linen module.
        given: Keyword arguments of the caller, which win.
        training_arg: The name of the training argument, `"~name"` for its negation; None to find
            it by the customary names.
        training: The mode.
        method: The name of the method.

    Returns:
        The arguments to add to those of the caller.

    Example:

    ```python
    >>> import flax.linen as nn
    >>> mode_arguments(nn.Dropout(0.5), {}, None, training=True)
    {'deterministic': False}

    ```
    """
    if training_arg is not None:
        name = training_arg.removeprefix("~")
        return {} if name in given else {name: training != training_arg.startswith("~")}
    parameters = inspect.signature(getattr(type(module), method)).parameters
    return {
        name: training == (name in TRAINING)
        for name in (*TRAINING, *INFERENCE)
        if name in parameters and name not in given and not _settled(module, parameters[name])
    }


def _settled(module: Any, parameter: inspect.Parameter) -> bool:
    # nn.Dropout(0.5, deterministic=True) refuses the argument that its field already gives.
    return parameter.default is None and getattr(module, parameter.name, None) is not None
