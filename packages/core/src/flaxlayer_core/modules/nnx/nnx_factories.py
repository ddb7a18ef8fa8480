"""nnx modules that are made at build, from a class or a function and its arguments (B2)."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TypeVar

import jax
from flax import nnx

from flaxlayer_core.compat.private_jax import trace_state_clean
from flaxlayer_core.compat.private_nnx import use_fast_counts
from flaxlayer_core.errors import AcceptModuleError, FlaxLayerError
from flaxlayer_core.jaxprs.traced import UNTRACEABLE, held_against
from flaxlayer_core.modules.misplaced_values import innermost, module_of_call
from flaxlayer_core.modules.nnx.graph import rng_streams
from flaxlayer_core.modules.nnx.module_factory import init_streams
from flaxlayer_core.modules.nnx.traced_attributes import (
    hides_traced_arrays,
    mark_traced_arrays,
    nodes_with_attributes,
)
from flaxlayer_core.typing import Function, Leaf, PyTree, Rngs

__all__ = ["abstract_module", "call_factory", "class_of", "describe_made", "is_nnx_factory"]

Result = TypeVar("Result")


def is_nnx_factory(value: object) -> bool:
    """Tells whether a value is what makes an nnx module.

    Args:
        value: Any value.

    Returns:
        True for a subclass of `nnx.Module`, a function or a method with an argument `rngs`, and a
        `functools.partial` of one that does not bind it.

    Example:

    ```python
    >>> is_nnx_factory(functools.partial(nnx.Linear, 3, 2)), is_nnx_factory(len)
    (True, False)

    ```
    """
    made = innermost(value)
    if isinstance(made, type):
        return issubclass(made, nnx.Module) and not _has_rngs(value)
    if not (inspect.isfunction(made) or inspect.ismethod(made)) or _has_rngs(value):
        return False
    if module_of_call(made):
        return False
    return "rngs" in inspect.signature(made).parameters


def _has_rngs(factory: object) -> bool:
    # Streams that were bound make the module at once, as they are.
    return isinstance(factory, functools.partial) and "rngs" in factory.keywords


def call_factory(factory: Function, keys: Rngs | Mapping[str, int]) -> nnx.Module:
    """Calls what makes a module, with `rngs` if it takes them.

    In a trace arrays are abstract. A constructor that needs their values, or that keeps them where
    Flax does not find them, gets values for all that no random number is part of.

    Args:
        factory: A class, a function, or a `functools.partial`.
        keys: The key of each stream for its initial values.

    Returns:
        The module; its streams count quickly.

    Raises:
        AcceptModuleError: If the call fails or gives something else.
    """
    try:
        module, nodes = _call(factory, keys)
        if trace_state_clean() or not hides_traced_arrays(nodes):
            return module
    except UNTRACEABLE:
        if trace_state_clean():
            raise
    title = f"The module that {_name(factory)} makes"
    with jax.ensure_compile_time_eval(), held_against(None, title=title):
        module, nodes = _call(factory, keys)
    if hides_traced_arrays(nodes):
        raise _refusal(
            factory,
            "one that keeps random numbers where Flax does not find them, as in a function",
            expected="a module that keeps its arrays in attributes and variables",
            fix="Keep it in an nnx.Variable, or pass the module itself.",
        )
    return module


def _call(factory: Function, keys: Rngs | Mapping[str, int]) -> tuple[nnx.Module, list[Leaf]]:
    named: dict[str, PyTree] = dict(keys)
    rngs = nnx.Rngs(**named)
    use_fast_counts(rng_streams(rngs))
    try:
        with _unplaced():
            module = factory(rngs=rngs) if _takes_rngs(factory) else factory()
    except UNTRACEABLE:
        raise
    except TypeError as error:
        raise _refusal(factory, f"{type(error).__name__}: {error}") from error
    if not isinstance(module, nnx.Module):
        raise _refusal(factory, f"{type(module).__name__}, which is no nnx.Module")
    nodes = nodes_with_attributes(module)
    mark_traced_arrays(nodes)
    return module, nodes


def _unplaced() -> contextlib.AbstractContextManager[object]:
    # Since Flax 0.12 a variable that names mesh axes asks for a mesh; a layer places its own (B5).
    off = getattr(nnx, "use_eager_sharding", None)
    context: contextlib.AbstractContextManager[object]
    context = off(False) if off else contextlib.nullcontext()
    return context


def abstract_module(factory: Function) -> nnx.Module:
    """Makes a module without arrays.

    Args:
        factory: A class, a function, or a `functools.partial`.

    Returns:
        The module with `ShapeDtypeStruct` for arrays.

    Raises:
        AcceptModuleError: If the call fails or gives something else.

    Example:

    ```python
    >>> abstract_module(functools.partial(nnx.Linear, 3, 2)).kernel.shape
    (3, 2)

    ```
    """
    keys = dict.fromkeys(init_streams(factory), 0)
    module: nnx.Module = nnx.eval_shape(lambda: call_factory(factory, keys))
    return module


def describe_made(factory: Function, describe: Callable[[nnx.Module], Result]) -> Result:
    """Returns what is to be found in a module while it is made, without arrays.

    Args:
        factory: A class, a function, or a `functools.partial`.
        describe: Looks at the module, and keeps no array of it.

    Raises:
        AcceptModuleError: If the call fails or gives something else.
    """
    keys = dict.fromkeys(init_streams(factory), 0)
    found: list[Result] = []
    jax.eval_shape(lambda: found.append(describe(call_factory(factory, keys))))
    return found[0]


def class_of(factory: Function) -> type:
    """Returns the class of what is made; a function must be called for it, without arrays.

    Raises:
        AcceptModuleError: If the arguments do not fit.
    """
    bound = factory if isinstance(factory, functools.partial) else functools.partial(factory)
    if not isinstance(bound.func, type):
        return _class_of_made(factory)
    keywords = {**bound.keywords, **({"rngs": None} if _takes_rngs(factory) else {})}
    try:
        _constructor(bound.func).bind(None, *bound.args, **keywords)
    except TypeError as error:
        raise _refusal(factory, f"{type(error).__name__}: {error}") from error
    return bound.func


def _class_of_made(factory: Function) -> type:
    try:
        return type(abstract_module(factory))
    except FlaxLayerError:
        raise
    except Exception as error:  # what a user wrote may fail in any way
        raise _refusal(factory, f"{type(error).__name__}: {error}") from error


def _constructor(cls: type) -> inspect.Signature:
    # The signature of an nnx class itself is that of its metaclass.
    return inspect.signature(inspect.getattr_static(cls, "__init__"))


def _takes_rngs(factory: Leaf) -> bool:
    while isinstance(factory, functools.partial):
        if "rngs" in factory.keywords:
            return False
        factory = factory.func
    is_class = isinstance(factory, type)
    parameters = (_constructor(factory) if is_class else inspect.signature(factory)).parameters
    return any(name == "rngs" or p.kind is p.VAR_KEYWORD for name, p in parameters.items())


def _name(factory: object) -> str:
    return getattr(factory, "__name__", None) or repr(factory)


def _refusal(
    factory: object,
    found: str,
    expected: str = "a class, function or functools.partial that makes one, given "
    "rngs=nnx.Rngs(...)",
    fix: str = "Bind the arguments: functools.partial(Model, 3, 64).",
) -> AcceptModuleError:
    failed = f"FlaxLayer cannot make an nnx module with {_name(factory)}."
    return AcceptModuleError(failed, expected=expected, found=found, fix=fix, law="B2")
