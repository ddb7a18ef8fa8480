"""What makes a module, in the place of a module (S5)."""

from __future__ import annotations

import contextlib
import functools
import inspect

import flax.linen as nn
import jax
from flax import nnx

from flaxlayer_core.compat.private_jax import trace_state_clean
from flaxlayer_core.errors import AcceptModuleError, FlaxLayerError
from flaxlayer_core.modules.misplaced_values import how_to_make, innermost, module_of_call
from flaxlayer_core.typing import Leaf

__all__ = ["is_factory", "make_from_factory"]


def is_factory(value: object) -> bool:
    """Tells whether a value may be what makes a module; only a call can tell that it does.

    Args:
        value: Any value.

    Returns:
        True for a function, a method or a callable object of the user's, a class of modules that
        can be called with the arguments that it has, and a `functools.partial` of one of these.

    Example:

    ```python
    >>> is_factory(functools.partial(nn.Dense, 3)), is_factory(nn.Dense), is_factory(len)
    (True, False, False)

    ```
    """
    made = innermost(value)
    if isinstance(made, type):
        is_module = issubclass(made, nn.Module | nnx.Module)
        return is_module and (isinstance(value, functools.partial) or _can_be_called(made))
    if isinstance(made, nn.Module | nnx.Module) or inspect.isbuiltin(made):
        return False
    if isinstance(made, nnx.Rngs | nnx.RngStream) or module_of_call(made):
        return False
    return callable(made)


def _can_be_called(cls: type) -> bool:
    try:
        inspect.signature(cls).bind()
    except TypeError:
        return False
    return True


def make_from_factory(factory: Leaf) -> nn.Module | nnx.Module:
    """Calls what makes a module.

    Args:
        factory: What `is_factory` takes.

    Returns:
        The module.

    Raises:
        AcceptModuleError: If the call fails or gives something else.

    Example:

    ```python
    >>> make_from_factory(functools.partial(nn.Dense, 3)).features
    3

    ```
    """
    values = contextlib.nullcontext() if trace_state_clean() else jax.ensure_compile_time_eval()
    try:
        with values:  # a layer may be made in a trace, and outlive it
            module = factory()
    except FlaxLayerError:
        raise
    except Exception as error:  # what a user wrote may fail in any way
        found = f"{type(error).__name__}: {error}"
        raise _refusal(factory, found, how_to_make(factory)) from error
    if isinstance(module, nn.Module | nnx.Module):
        return module
    found = f"{type(module).__name__}, which is no module"
    raise _refusal(factory, found, "Pass a module, or what returns one: functools.partial(Net, 3).")


def _refusal(factory: object, found: str, fix: str) -> AcceptModuleError:
    name = getattr(innermost(factory), "__qualname__", None) or repr(factory)
    return AcceptModuleError(
        f"FlaxLayer cannot make a module with {name}.",
        expected="a function, method or class that makes a module, called with what is bound",
        found=found,
        fix=fix,
        law="S5",
    )
