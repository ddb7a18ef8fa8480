"""Values where a module is asked for that are none: what they are, and what to pass instead."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Mapping

import flax.linen as nn
import numpy as np
from flax import nnx

from flaxlayer_core.typing import Leaf

__all__ = ["describe_misplaced", "how_to_make", "innermost", "module_of_call"]

_MODULES = nn.Module | nnx.Module
_MAKE_MODULES = ("clone", "copy")


def innermost(factory: object) -> object:
    """Returns what a `functools.partial` calls in the end, anything else as it is.

    Args:
        factory: Any value.

    Example:

    ```python
    >>> innermost(functools.partial(nn.Dense, 3)).__name__
    'Dense'

    ```
    """
    while isinstance(factory, functools.partial):
        factory = factory.func
    return factory


def module_of_call(value: object) -> nn.Module | None:
    """Returns the module whose `apply`, `init` or the like was given in its place, None for others.

    Args:
        value: A bound method, with or without `jax.jit` or `functools.partial` around it.

    Example:

    ```python
    >>> module_of_call(functools.partial(nn.Dense(2).apply, {})).features
    2

    ```
    """
    bound = _bound(value)
    owner = getattr(bound, "__self__", None)
    if not isinstance(owner, nn.Module) or bound is None:
        return None
    own = vars(nn.Module).get(bound.__name__)
    return owner if own is bound.__func__ and bound.__name__ not in _MAKE_MODULES else None


def _bound(value: object) -> types.MethodType | None:
    made = innermost(value)
    if callable(made):
        made = innermost(inspect.unwrap(made, stop=inspect.ismethod))
    return made if inspect.ismethod(made) else None


def describe_misplaced(value: Leaf) -> tuple[str, str]:
    """Returns what a value is that makes no module, and what to pass in its place.

    Args:
        value: Neither a module nor what makes one.

    Returns:
        Two texts for an error: what was found, and what to do.

    Example:

    ```python
    >>> describe_misplaced({"params": {}})[1]
    'Pass the module that they belong to, and these as variables=.'

    ```
    """
    name = type(value).__name__
    bound = _bound(value)
    if bound is not None and module_of_call(value):
        title = f"{type(bound.__self__).__name__}.{bound.__name__}"
        return f"the bound method {title}", "Pass the module itself; method= names what it calls."
    if isinstance(value, nnx.Rngs | nnx.RngStream):
        fix = "Pass a module; the layer has streams of its own, by seed=."
        return f"{name}, random streams", fix
    if hasattr(value, "apply_fn") and hasattr(value, "params"):
        fix = "Pass the module itself; load_flax_variables takes this, once the layer is built."
        return f"a {name}, which holds parameters of a module", fix
    if isinstance(value, Mapping | nnx.State):
        fix = "Pass the module that they belong to, and these as variables=."
        return f"a {name}, such as variables are", fix
    if type(value) in (tuple, list):
        fix = "Pass a module alone: variables go to variables=, a graph and its state to nnx.merge."
        return f"a {name} of {', '.join(type(part).__name__ for part in value[:9])}", fix
    if hasattr(value, "shape") and isinstance(getattr(value, "dtype", None), np.dtype):
        fix = "Pass a module; arrays are what the layer is called on."
        return f"an array, {value.dtype}{list(value.shape)}", fix
    return f"{name}: {value!r}", "Pass an instance of flax.linen.Module, or an nnx module."


def how_to_make(factory: object) -> str:
    """Returns what to do about a callable that makes no module when it is called.

    Args:
        factory: What was called.

    Example:

    ```python
    >>> how_to_make(lambda width: nn.Dense(width))
    'If it makes a module, bind its arguments: functools.partial(build, 3, width=64).'

    ```
    """
    made, bound = innermost(factory), _bound(factory)
    if bound is not None and isinstance(bound.__self__, _MODULES):
        return f"Pass the module itself: FlaxLayer(module, method={bound.__name__!r})."
    if inspect.isfunction(made) and next(iter(inspect.signature(made).parameters), "") == "self":
        return f"Pass a module, and its method: FlaxLayer(module, method={made.__name__!r})."
    if not (inspect.isroutine(made) or isinstance(made, type)) and not hasattr(made, "__wrapped__"):
        return "Pass a module of Flax; any other object is called, without arguments, to make one."
    return "If it makes a module, bind its arguments: functools.partial(build, 3, width=64)."
