"""`flax.linen` modules behind core's module protocol."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn

from flaxlayer_core import compat
from flaxlayer_core.collections import normalize_variables
from flaxlayer_core.errors import AcceptModuleError, InspectMethodError
from flaxlayer_core.protocol import Rngs

__all__ = ["LinenModule"]

# What Flax itself calls, such as `setup`, is no method of the user's, overridden or not.
_NO_METHODS = frozenset(dir(nn.Module)) - {"__call__"}


class LinenModule:
    """A `flax.linen` module behind `flaxlayer_core.protocol.FlaxModule`.

    Args:
        module: An unbound instance of `flax.linen.Module`.

    Raises:
        AcceptModuleError: If it is a class, bound, an nnx module, or no module at all.

    Example:

    ```python
    >>> import flax.linen as nn, jax, jax.numpy as jnp
    >>> dense = LinenModule(nn.Dense(2))
    >>> args = (jnp.ones((1, 3)),)
    >>> variables = dense.init({"params": jax.random.key(0)}, args, {}, method="__call__")
    >>> variables["params"]["kernel"].shape
    (3, 2)

    ```
    """

    def __init__(self, module: nn.Module) -> None:
        _accept(module)
        self._module = module

    @property
    def module(self) -> nn.Module:
        """The user's module object."""
        return self._module

    @property
    def class_name(self) -> str:
        """The name of its class, for messages."""
        return type(self._module).__name__

    def resolve_method(self, method: Any) -> str | Callable[..., Any]:
        """Returns a method as a name, or a function that takes the module first (A3).

        Args:
            method: None for `__call__`, a name, a bound or an unbound method of the module, or a
                function whose first argument is the module.

        Returns:
            The name of a public method, or the function.

        Raises:
            InspectMethodError: If there is no such public method.
        """
        if method is None:
            return self._check_name("__call__")
        if isinstance(method, str):
            return self._check_name(method)
        owner = getattr(method, "__self__", None)
        if owner is not None and isinstance(owner, nn.Module):
            return self._check_bound(owner, method.__name__)
        name = getattr(method, "__name__", "")
        if name and inspect.getattr_static(type(self._module), name, None) is method:
            return self._check_name(name)
        if not callable(method):
            raise self._method_error(repr(method))
        function: Callable[..., Any] = method
        return function

    def _check_name(self, name: str) -> str:
        if name not in self._public_methods():
            raise self._method_error(repr(name))
        return name

    def _check_bound(self, owner: nn.Module, name: str) -> str:
        if owner is not self._module:
            raise self._method_error(f"{name!r} bound to another {type(owner).__name__}")
        return self._check_name(name)

    def _method_error(self, found: str) -> InspectMethodError:
        return InspectMethodError(
            f"Module {self.class_name} has no such public method.",
            expected="one of: " + ", ".join(sorted(self._public_methods())),
            found=found,
            fix="Name a public method of the module, or pass a function f(module, ...).",
            law="A3",
        )

    def _public_methods(self) -> set[str]:
        names = {"__call__", *(name for name in dir(type(self._module)) if name[0] != "_")}
        return {
            name
            for name in names - _NO_METHODS - self._fields()
            if inspect.isfunction(inspect.getattr_static(type(self._module), name, None))
        }

    def _fields(self) -> set[str]:
        # The default of a field may be a function, and is no method.
        return set(getattr(type(self._module), "__dataclass_fields__", {}))

    def signature(self, method: str | Callable[..., Any]) -> inspect.Signature:
        """Returns the signature of a method without the module argument."""
        function = getattr(type(self._module), method) if isinstance(method, str) else method
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())
        # `*args` of a decorator takes the module and everything after it.
        if parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            del parameters[0]
        return signature.replace(parameters=parameters)

    def fixed_setting(self, name: str) -> bool:
        """Tells whether a field of the module already decides an argument of its method (A2).

        `nn.Dropout(0.5, deterministic=True)` refuses the argument at the call.
        """
        return name in self._fields() and getattr(self._module, name) is not None

    def init(
        self,
        rngs: Rngs,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        method: str | Callable[..., Any],
    ) -> dict[str, Any]:
        """Returns the result of `Module.init` (B2)."""
        return normalize_variables(self._module.init(dict(rngs), *args, method=method, **kwargs))

    def apply(
        self,
        variables: Mapping[str, Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        method: str | Callable[..., Any],
        rngs: Rngs,
        mutable: Any,
    ) -> tuple[Any, dict[str, Any]]:
        """Returns the result of `Module.apply` with a mutable filter."""
        outputs, updates = self._module.apply(
            dict(variables), *args, rngs=dict(rngs), method=method, mutable=mutable, **kwargs
        )
        return outputs, normalize_variables(updates)

    def raw_variables(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the stored tree as it is: it is the one that `Module.apply` takes (W2)."""
        return dict(stored)

    def stored_variables(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the tree as it is."""
        return dict(raw)

    def bind(self, variables: Mapping[str, Any]) -> nn.Module:
        """Returns the module bound to its variables."""
        return self._module.bind(dict(variables))

    def record_streams(self) -> contextlib.AbstractContextManager[compat.StreamRecord]:
        """Opens a context that records which rng streams the module asks for (R1)."""
        return compat.record_streams()

    def call_context(self) -> tuple[Any, ...] | None:
        """Returns the logical axis rules; None under method interceptors (A6)."""
        if compat.interceptors_active():
            return None
        return tuple(tuple(rule) for rule in nn.get_logical_axis_rules())


def _accept(module: Any) -> None:
    if isinstance(module, nn.Module):
        if module.scope is None:
            return
        found, fix = "a bound module", "Pass the module that `Module.bind` was called on."
    elif isinstance(module, type) and issubclass(module, nn.Module):
        found, fix = f"the class {module.__name__}", f"Pass an instance: {module.__name__}(...)."
    elif any("flax.nnx" in base.__module__ for base in type(module).__mro__):
        found = f"an nnx module, {type(module).__name__}"
        fix = "nnx modules are not yet supported; use the flax.linen version of the module."
    else:
        found, fix = (
            f"{type(module).__name__}: {module!r}",
            "Pass an instance of flax.linen.Module.",
        )
    raise AcceptModuleError(
        "FlaxLayer cannot take this as a module.",
        expected="an unbound instance of flax.linen.Module",
        found=found,
        fix=fix,
    )
