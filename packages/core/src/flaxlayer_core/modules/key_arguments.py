"""Parameters of a method that take random keys, which they get from the layer (R5)."""

from __future__ import annotations

import ast
import inspect
import types
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax
from flax import nnx

from flaxlayer_core.errors import CallArgumentError
from flaxlayer_core.modules.nnx.supplied_rngs import note_key, supplied_rngs
from flaxlayer_core.typing import PyTree

__all__ = ["KeyArgument", "find_key_arguments", "keyed_names", "make_keys"]

_RNGS, _STREAM, _KEY = "rngs", "stream", "key"
_KINDS: Mapping[str, str] = MappingProxyType({"Rngs": _RNGS, "RngStream": _STREAM})
_ANYTHING = (inspect.Parameter.empty, Any, object, "Any", "typing.Any", "object")


@dataclass(frozen=True)
class KeyArgument:
    """A parameter that gets random keys.

    Attributes:
        name: The parameter.
        kind: `"rngs"` for an `nnx.Rngs`, `"stream"` for an `nnx.RngStream`, `"key"` for a typed
            key.
        stream: The stream of a key or of an `nnx.RngStream`; None for an `nnx.Rngs`, whose streams
            are those that the method asks for.
        required: Whether the method cannot be called without it.
    """

    name: str
    kind: str
    stream: str | None
    required: bool


def find_key_arguments(
    signature: inspect.Signature,
    rng_args: Mapping[str, str] = MappingProxyType({}),
    *,
    title: str = "",
) -> tuple[KeyArgument, ...]:
    """Finds the parameters of a method that take random keys.

    Args:
        signature: The signature of the method.
        rng_args: Further parameters, and the stream of the key that each gets.
        title: The method as messages name it; without one, unknown names are passed over.

    Returns:
        The parameters: those that are annotated as `nnx.Rngs` or `nnx.RngStream`, one that is
        called `rngs`, and those that were named.

    Raises:
        CallArgumentError: If the method has no parameter that was named.

    Example:

    ```python
    >>> def call(x, *, rngs: nnx.Rngs | None = None, key=None): ...
    >>> found = find_key_arguments(inspect.signature(call), {"key": "noise"})
    >>> [(argument.name, argument.kind, argument.stream) for argument in found]
    [('rngs', 'rngs', None), ('key', 'key', 'noise')]

    ```
    """
    found = {}
    for name, parameter in signature.parameters.items():
        kind = _kind(parameter)
        if name in rng_args and kind != _STREAM:
            kind = _KEY
        if kind is not None and parameter.kind in _BY_KEYWORD:
            stream = None if kind == _RNGS else rng_args.get(name, _default_stream(name))
            required = parameter.default is parameter.empty
            found[name] = KeyArgument(name, kind, stream, required)
    unknown = sorted(rng_args.keys() - found.keys())
    if title and unknown:
        raise CallArgumentError(
            f"{title} has no argument for rng_args={dict(rng_args)!r}.",
            expected=f"one of: {', '.join(signature.parameters)}",
            found=", ".join(unknown),
            fix="Name arguments of the method that can be given by keyword.",
            law="R5",
        )
    return tuple(found.values())


def make_keys(
    arguments: Iterable[KeyArgument],
    rngs: Mapping[str, jax.Array],
    *,
    optional: Collection[str] | None = None,
) -> dict[str, PyTree]:
    """Makes fresh random keys for the parameters of one call.

    Args:
        arguments: The parameters.
        rngs: The key of each stream of the call (R2).
        optional: Those that have a default and get one all the same; None for those whose stream
            is one of the call.

    Returns:
        A value for each parameter that gets one; a key that nothing is drawn from where its stream
        is not among those of the call.

    Example:

    ```python
    >>> argument = KeyArgument("rngs", "rngs", None, required=False)
    >>> made = make_keys([argument], {"noise": jax.random.key(0)})
    >>> list(made["rngs"])
    ['noise']

    ```
    """
    given = list(arguments)
    names = keyed_names(given, rngs) if optional is None else optional
    return {
        argument.name: _make(argument, rngs)
        for argument in given
        if argument.required or argument.name in names
    }


def keyed_names(
    arguments: Iterable[KeyArgument], streams: Collection[str] | None
) -> tuple[str, ...]:
    """Returns the parameters that get random keys where a call has some streams.

    Args:
        arguments: The parameters.
        streams: The streams; None for all that there are.

    Returns:
        Their names.

    Example:

    ```python
    >>> argument = KeyArgument("key", "key", "noise", required=False)
    >>> keyed_names([argument], ("dropout",)), keyed_names([argument], None)
    ((), ('key',))

    ```
    """
    return tuple(
        argument.name
        for argument in arguments
        if streams is None or argument.kind == _RNGS or argument.stream in streams
    )


def _make(argument: KeyArgument, rngs: Mapping[str, jax.Array]) -> object:
    if argument.kind == _RNGS:
        return supplied_rngs(rngs)
    assert argument.stream is not None
    note_key(argument.stream, rngs)
    key = rngs[argument.stream] if argument.stream in rngs else jax.random.key(0)
    return key if argument.kind == _KEY else nnx.RngStream(key, tag=argument.stream)


_BY_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _default_stream(name: str) -> str:
    return "default" if name == _RNGS else name


def _kind(parameter: inspect.Parameter) -> str | None:
    kinds = {kind for kind in map(_KINDS.get, _class_names(parameter.annotation)) if kind}
    if kinds:
        return _RNGS if _RNGS in kinds else _STREAM
    free = any(parameter.annotation is anything for anything in _ANYTHING[:3])
    free = free or parameter.annotation in _ANYTHING[3:]
    return _RNGS if parameter.name == _RNGS and free else None


def _class_names(annotation: object) -> Iterator[str]:
    """Yields the names of the classes of Flax's random streams in a union."""
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        yield from _written_names(annotation)
    elif isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        yield from (name for name in _KINDS if issubclass(annotation, vars(nnx)[name]))
    elif typing.get_origin(annotation) is typing.Annotated:
        yield from _class_names(typing.get_args(annotation)[0])
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for part in typing.get_args(annotation):
            yield from _class_names(part)


def _written_names(text: str) -> Iterator[str]:
    # `from __future__ import annotations`; the names may be imported for type checkers alone.
    try:
        pending: list[ast.expr] = [ast.parse(text, mode="eval").body]
    except SyntaxError:
        return
    while pending:
        node = pending.pop()
        if isinstance(node, ast.BinOp):
            pending += [node.left, node.right]
        elif isinstance(node, ast.Subscript) and _last_name(node.value) in ("Optional", "Union"):
            inner = node.slice
            pending += inner.elts if isinstance(inner, ast.Tuple) else [inner]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _written_names(node.value)
        else:
            yield _last_name(node)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
