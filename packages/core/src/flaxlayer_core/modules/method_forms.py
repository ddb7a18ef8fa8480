"""The forms in which a method may be given, as functions that take the module first (A3)."""

from __future__ import annotations

import functools
import inspect
import operator

from flaxlayer_core.compat.private_nnx import is_bound_by_hand
from flaxlayer_core.typing import Function

__all__ = [
    "fixed_keywords",
    "same_partial",
    "takes_more",
    "through_module",
    "unbound",
    "without_module",
]


def unbound(method: Function, base: type) -> Function:
    """Returns a method as a function that takes the module first, whatever it is bound to.

    Args:
        method: A method or a function, maybe a partial or a compiled one.
        base: The class of Flax that modules derive from.

    Returns:
        The function of its class for a bound method, and a partial of that for a partial of one;
        anything else as it is.

    Example:

    ```python
    >>> import flax.linen as nn
    >>> unbound(nn.Dense(2).__call__, nn.Module) is nn.Dense.__call__
    True

    ```
    """
    if inspect.ismethod(method) and isinstance(method.__self__, base):
        return method.__func__
    if not isinstance(method, functools.partial):
        return method
    function, rest = unbound(method.func, base), method.args
    if function is method.func:
        if not is_bound_by_hand(method, base):
            return method
        rest = rest[1:]
    if rest:
        function = functools.partialmethod(function, *rest).__get__(None, object)
    return functools.partial(function, **method.keywords) if method.keywords else function


def same_partial(static: object, method: object, base: type) -> bool:
    """Tells whether a method is what a `functools.partialmethod` of a class gives an instance."""
    if not (isinstance(static, functools.partialmethod) and isinstance(method, functools.partial)):
        return False
    values, found = (*static.args,), (*method.args,)  # by identity: an array has no truth of `==`
    return (
        unbound(method.func, base) is static.func is not method.func
        and static.keywords.keys() == method.keywords.keys()
        and len(values) == len(found)
        and all(map(operator.is_, values, found))
        and all(value is method.keywords[name] for name, value in static.keywords.items())
    )


def without_module(function: Function) -> inspect.Signature | None:
    """Returns the signature of a function without its first argument, the module.

    Args:
        function: A function that takes the module first.

    Returns:
        None if it takes nothing, or does not tell.

    Example:

    ```python
    >>> str(without_module(lambda module, x, train=False: x))
    '(x, train=False)'

    ```
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    parameters = list(signature.parameters.values())
    if not parameters:
        return None
    # `*args` of a decorator takes the module and everything after it.
    if parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        del parameters[0]
    return signature.replace(parameters=parameters)


def takes_more(function: Function) -> bool:
    """Tells whether a function takes positional arguments after the module."""
    signature = without_module(function)
    kinds = {p.kind for p in signature.parameters.values()} if signature else set()
    return bool(kinds - {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD})


def fixed_keywords(method: object) -> frozenset[str]:
    """Returns the keyword arguments that a partial method has a value for already.

    Args:
        method: A method or a function, maybe a partial one.

    Returns:
        Their names.

    Example:

    ```python
    >>> sorted(fixed_keywords(functools.partial(print, sep="", end="")))
    ['end', 'sep']

    ```
    """
    names: frozenset[str] = frozenset()
    while True:
        if isinstance(method, functools.partial | functools.partialmethod):
            names |= set(method.keywords)
            method = method.func
        elif hasattr(method, "__wrapped__"):
            method = method.__wrapped__
        else:
            return names


def through_module(name: str) -> Function:
    """Returns a function that calls what the module itself has under a name.

    Args:
        name: The name of a method or of a submodule.

    Returns:
        A function that takes the module first.

    Example:

    ```python
    >>> through_module("upper")("relu")
    'RELU'

    ```
    """

    def call(module: object, *args: object, **kwargs: object) -> object:
        return getattr(module, name)(*args, **kwargs)

    return call
