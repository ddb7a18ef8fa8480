"""nnx modules that are made at build, from a class or a function and its arguments (B2)."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import nnx

from flaxlayer_core.errors import AcceptModuleError, EncodeModuleError

__all__ = ["describe_module", "factory_of", "make_module", "makes_nnx"]

# A stored nnx.Rngs may be asked for any name in a call, and then falls back to this one.
_FALLBACK = "default"


def makes_nnx(value: Any) -> bool:
    """Tells whether a value is what makes an nnx module.

    Args:
        value: Any value.

    Returns:
        True for a subclass of `nnx.Module`, a function of `rngs`, and a `functools.partial` of one.

    Example:

    ```python
    >>> makes_nnx(functools.partial(nnx.Linear, 3, 2)), makes_nnx(len)
    (True, False)

    ```
    """
    while isinstance(value, functools.partial):
        value = value.func
    if isinstance(value, type):
        return issubclass(value, nnx.Module)
    return inspect.isfunction(value) and "rngs" in inspect.signature(value).parameters


def factory_of(module: Any) -> Any:
    """Returns what makes a module like this one, which is what a file can hold (S1).

    Args:
        module: An nnx module, or what makes one.

    Returns:
        A `functools.partial` of its class with what its `get_config()` says; what makes a module,
        as it is.

    Raises:
        EncodeModuleError: If the module does not tell the arguments of its constructor.
    """
    if not isinstance(module, nnx.Module):
        return module
    name = type(module).__name__
    get_config = getattr(module, "get_config", None)
    config = get_config() if callable(get_config) else None
    if isinstance(config, Mapping):
        return functools.partial(type(module), **config)
    raise EncodeModuleError(
        f"Cannot store {name}.",
        expected="an nnx module that tells the arguments of its constructor",
        found="one without get_config()" if config is None else f"get_config() gives {config!r}",
        fix=f"Pass functools.partial({name}, ...) in its place, or let {name}.get_config() return "
        "the keyword arguments of its constructor, without rngs.",
        law="S1",
    )


def make_module(factory: Callable[..., Any], rngs: nnx.Rngs) -> nnx.Module:
    """Calls what makes a module, with `rngs` if it takes them.

    Args:
        factory: A class, a function, or a `functools.partial`.
        rngs: The streams for its initial values.

    Returns:
        The module.

    Raises:
        AcceptModuleError: If the call fails or gives something else.
    """
    try:
        module = factory(rngs=rngs) if _takes_rngs(factory) else factory()
    except TypeError as error:
        raise _refusal(factory, f"{type(error).__name__}: {error}") from error
    if not isinstance(module, nnx.Module):
        raise _refusal(factory, f"{type(module).__name__}, which is no nnx.Module")
    return module


def describe_module(factory: Callable[..., Any]) -> tuple[nnx.Module, tuple[str, ...]]:
    """Makes a module without arrays, and finds the streams that its constructor draws from (R1).

    Args:
        factory: A class, a function, or a `functools.partial`.

    Returns:
        The module with `ShapeDtypeStruct` for arrays, and the names of the streams.

    Raises:
        AcceptModuleError: If the call fails or gives something else.

    Example:

    ```python
    >>> import functools
    >>> module, streams = describe_module(functools.partial(nnx.Linear, 3, 2))
    >>> module.kernel.get_value().shape, streams
    ((3, 2), ('default', 'params'))

    ```
    """
    asked: set[str] = {_FALLBACK}
    nnx.eval_shape(lambda: make_module(factory, _AskingRngs(asked)))
    streams = tuple(sorted(asked))

    def make() -> nnx.Module:
        return make_module(factory, nnx.Rngs(**{name: jax.random.key(0) for name in streams}))

    return nnx.eval_shape(make), streams


def _takes_rngs(factory: Any) -> bool:
    while isinstance(factory, functools.partial):
        if "rngs" in factory.keywords:
            return False
        factory = factory.func
    # The signature of an nnx class itself is that of its metaclass.
    function = inspect.getattr_static(factory, "__init__") if isinstance(factory, type) else factory
    parameters = inspect.signature(function).parameters
    return any(name == "rngs" or p.kind is p.VAR_KEYWORD for name, p in parameters.items())


class _AskingRngs(nnx.Rngs):
    # Makes every stream that it is asked for, and notes its name.

    def __init__(self, asked: set[str]) -> None:
        super().__init__()
        object.__setattr__(self, "_note", asked.add)

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name) if name.startswith("_") else self[name]

    def __getitem__(self, name: str) -> Any:
        if name not in vars(self):
            self._note(name)
            setattr(self, name, nnx.RngStream(jax.random.key(0), tag=name))
        return vars(self)[name]


def _refusal(factory: Any, found: str) -> AcceptModuleError:
    name = getattr(factory, "__name__", None) or repr(factory)
    return AcceptModuleError(
        f"FlaxLayer cannot make an nnx module with {name}.",
        expected="a class, function or functools.partial that makes one, given rngs=nnx.Rngs(...)",
        found=found,
        fix="Bind the arguments: functools.partial(Model, 3, 64).",
        law="B2",
    )
