"""The methods of a module that a layer may call (A3)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from flaxlayer_core.errors import InspectMethodError

__all__ = ["PublicMethods"]


class PublicMethods:
    """The public methods of a module's class, without those that Flax itself defines.

    Args:
        module: The module, where it exists.
        cls: Its class.
        base: The class of Flax that modules derive from: what it defines and Flax itself calls,
            such as `setup`, is no method of the user's, overridden or not.

    Example:

    ```python
    >>> import flax.linen as nn
    >>> PublicMethods(nn.Embed(3, 2), nn.Embed, nn.Module).names
    ['__call__', 'attend']

    ```
    """

    def __init__(self, module: Any, cls: type, base: type) -> None:
        self._module, self._cls, self._base = module, cls, base

    @property
    def names(self) -> list[str]:
        """Their names, in order."""
        own = {"__call__", *(name for name in dir(self._cls) if name[0] != "_")}
        # The default of a field may be a function, and is no method.
        fields = set(getattr(self._cls, "__dataclass_fields__", {}))
        inherited = set(dir(self._base)) - {"__call__"}
        return sorted(
            name
            for name in own - inherited - fields
            if inspect.isfunction(inspect.getattr_static(self._cls, name, None))
        )

    def resolve(self, method: Any) -> str | Callable[..., Any]:
        """Returns a method as a name, or a function that takes the module first (A3).

        Args:
            method: None for `__call__`, a name, a bound or an unbound method of the module, or a
                function whose first argument is the module.

        Returns:
            The name of a public method, or the function.

        Raises:
            InspectMethodError: If there is no such public method.
        """
        if method is None or isinstance(method, str):
            return self._check_name("__call__" if method is None else method)
        owner = getattr(method, "__self__", None)
        if isinstance(owner, self._base):
            if owner is not self._module:
                found = f"{method.__name__!r} bound to another {type(owner).__name__}"
                raise self._error(found)
            return self._check_name(method.__name__)
        name = getattr(method, "__name__", "")
        if name and inspect.getattr_static(self._cls, name, None) is method:
            return self._check_name(name)
        if not callable(method):
            raise self._error(repr(method))
        function: Callable[..., Any] = method
        return function

    def signature(self, method: str | Callable[..., Any]) -> inspect.Signature:
        """Returns the signature of a method without the module argument."""
        function = getattr(self._cls, method) if isinstance(method, str) else method
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())
        # `*args` of a decorator takes the module and everything after it.
        if parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            del parameters[0]
        return signature.replace(parameters=parameters)

    def _check_name(self, name: str) -> str:
        if name not in self.names:
            raise self._error(repr(name))
        return name

    def _error(self, found: str) -> InspectMethodError:
        return InspectMethodError(
            f"Module {self._cls.__name__} has no such public method.",
            expected="one of: " + ", ".join(self.names),
            found=found,
            fix="Name a public method of the module, or pass a function f(module, ...).",
            law="A3",
        )
