"""The methods of a module that a layer may call (A3)."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

from flaxlayer_core.compat.private_linen import wrapped_descriptor
from flaxlayer_core.compat.private_nnx import without_jit
from flaxlayer_core.errors import InspectMethodError
from flaxlayer_core.modules.method_forms import (
    fixed_keywords,
    same_partial,
    takes_more,
    through_module,
    unbound,
    without_module,
)
from flaxlayer_core.modules.method_names import has_attribute, is_public_name, may_name_method
from flaxlayer_core.typing import Function, Method, PyTree

__all__ = ["PublicMethods"]

_ON_INSTANCES = (functools.partialmethod, functools.singledispatchmethod)


class PublicMethods:
    """The methods of a module's class, without those that Flax itself defines, and its submodules.

    Args:
        cls: The class of the module.
        base: The class of Flax that modules derive from.
        find: Returns what a module has under a name that is no method of its class, None if it has
            nothing.
        applied: Whether methods are handed to `Module.apply`, which passes the module to whatever
            the class has under a name; else they are called on a module.

    Example:

    ```python
    >>> import flax.linen as nn
    >>> PublicMethods(nn.Embed, nn.Module, lambda name: None, applied=True).names
    ['__call__', 'attend']

    ```
    """

    def __init__(
        self, cls: type, base: type, find: Callable[[str], object], *, applied: bool
    ) -> None:
        self._cls, self._base, self._find, self._applied = cls, base, find, applied
        self._submodules: dict[str, PyTree] = {}

    @property
    def names(self) -> list[str]:
        """The public names of the class, in order."""
        return sorted(filter(self._is_method, filter(is_public_name, dir(self._cls))))

    def resolve(self, method: object) -> Method:
        """Returns a method as a name, or a function that takes the module first (A3).

        Args:
            method: None for `__call__`; the name of a method or of a submodule; a method that is
                bound to this module, to another, or to none; or a function whose first argument is
                the module. As `Module.apply(method=...)` takes it.

        Returns:
            The name where the module has the method under one, else the function.

        Raises:
            InspectMethodError: If there is no such method.
        """
        if method is None or isinstance(method, str):
            return self._check_name("__call__" if method is None else method)
        if not callable(method) or isinstance(method, self._base):
            raise self._error(repr(method))
        function = unbound(method, self._base)
        name = self._name_of(method, function)
        if name is not None:
            return self._check_name(name)
        if without_module(function) is None:
            raise self._error(f"{method!r}, which takes no module")
        return function

    def function(self, method: Method) -> Method:
        """Returns what takes the module first: a name only where `Module.apply` knows it."""
        # A call is compiled as a whole: `nnx.jit` inside it would only hide what it leaves alone.
        held = self._static(method) if isinstance(method, str) else method
        function: Function = without_jit(held)
        if not isinstance(method, str) or function is not held:
            return function
        plain = self._is_method(method) and not isinstance(self._static(method), _ON_INSTANCES)
        return method if plain and self._applied else through_module(method)

    def signature(self, method: Method) -> inspect.Signature:
        """Returns the signature of a method without the module argument."""
        if isinstance(method, str):
            inner = self._submodules.get(method)
            if inner is None and self._is_free(self._static(method)):
                return inspect.signature(getattr(self._cls, method))
            method = getattr(self._cls, method) if inner is None else type(inner).__call__
        signature = without_module(method)
        assert signature is not None
        return signature

    def submodule(self, method: Method) -> object:
        """Returns the submodule that a name stands for, None for any other method."""
        return self._submodules.get(method) if isinstance(method, str) else None

    def fixed_keywords(self, method: Method) -> frozenset[str]:
        """Returns the keyword arguments that a partial method has a value for already."""
        return fixed_keywords(self._static(method) if isinstance(method, str) else method)

    def _static(self, name: str) -> object:
        for cls in self._cls.__mro__:  # `inspect.getattr_static` would go on to the metaclass
            if name in vars(cls):
                return wrapped_descriptor(vars(cls)[name])
        return None

    def _is_free(self, static: object) -> bool:
        # Called on a module it does not get the module.
        unbound = isinstance(static, staticmethod | classmethod)
        return not self._applied and (unbound or not hasattr(type(static), "__get__"))

    def _is_method(self, name: str) -> bool:
        if not may_name_method(self._cls, self._base, name):
            return False
        static = self._static(name)
        if isinstance(static, staticmethod | classmethod):
            return not self._applied or takes_more(getattr(self._cls, name))
        return isinstance(static, _ON_INSTANCES) or (
            callable(static) and not isinstance(static, type | self._base)
        )

    def _check_name(self, name: str) -> str:
        if self._is_method(name) or self._is_submodule(name):
            return name
        raise self._error(repr(name))

    def _is_submodule(self, name: str) -> bool:
        if not name.isidentifier() or name.startswith("__") or has_attribute(self._base, name):
            return False
        if name not in self._submodules:
            found = self._find(name)
            if not isinstance(found, self._base) or not callable(found):
                return False
            self._submodules[name] = found
        return True

    def _name_of(self, method: object, function: object) -> str | None:
        name = getattr(function, "__name__", "")
        if name and self._static(name) is function:
            return str(name)
        for other in dir(self._cls):
            static = self._static(other)
            if static is function or same_partial(static, method, self._base):
                return other
        return None

    def _error(self, found: str) -> InspectMethodError:
        return InspectMethodError(
            f"Module {self._cls.__name__} has no such public method.",
            expected="one of: " + ", ".join(self.names),
            found=found,
            fix="Name a public method of the module, or pass a function f(module, ...).",
            law="A3",
        )
