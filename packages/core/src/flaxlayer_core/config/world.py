"""The closed world: every class and function that a stored configuration may name (S2)."""

from __future__ import annotations

__all__ = [
    "Resolver",
    "add_registry",
    "adopt",
    "adopt_as",
    "check_same",
    "holder_of",
    "is_nameable_class",
    "is_registered",
    "known_classes",
    "look_up",
    "name_of",
    "plain_name",
    "split_registered",
]

from collections.abc import Callable, Iterable, Iterator

from flaxlayer_core.compat.private_lifts import is_lifted_class
from flaxlayer_core.config.definitions import (
    is_named_function,
    is_storable_class,
    latest,
    qualified_name,
    same_definition,
)
from flaxlayer_core.config.object_codecs import has_codec
from flaxlayer_core.config.optional_packages import optional_class, optional_name
from flaxlayer_core.config.reports import cannot_store, describe
from flaxlayer_core.config.stock import STOCK, stock_name

Resolver = Callable[[str], object | None]

_PACKAGE = "flaxlayer"  # under which `register` stores by default
_registered: dict[str, object] = {}
_remembered: dict[str, object] = {}
_registries: list[Callable[[], Iterable[object]]] = []


def adopt(obj: object) -> None:
    """Makes a class or a named function known by its qualified name; the latest one wins.

    Example:

    ```python
    >>> from flaxlayer_core.config.world import adopt, look_up
    >>> def halve(x):
    ...     return x / 2
    >>> adopt(halve)
    >>> look_up(f"{__name__}:halve", None) is halve
    True

    ```
    """
    name = qualified_name(obj)
    if name is not None and _has_own_name(obj):
        _remembered[name] = obj


def adopt_as(name: str, obj: object) -> None:
    """Makes an object known by the name that it is registered under, and by its own."""
    _registered[name] = obj
    adopt(obj)


def add_registry(held: Callable[[], Iterable[object]]) -> None:
    """Lets a class or function that another registry holds be found by its module and name.

    Args:
        held: Gives what the registry holds at the moment.
    """
    _registries.append(held)


def holder_of(name: str) -> object | None:
    """What is registered under a name, None where the name is free."""
    return _registered.get(name)


def is_nameable_class(value: object) -> bool:
    """Whether `value` is a class that a configuration may name, once it is known."""
    return is_storable_class(value) or has_codec(value)


def _has_own_name(obj: object) -> bool:
    if stock_name(obj) or optional_name(obj) or is_lifted_class(obj):
        return False
    return is_nameable_class(obj) or is_named_function(obj)


def is_registered(obj: object) -> bool:
    """Whether `register` gave `obj` a name."""
    return any(held is obj for held in list(_registered.values()))


def name_of(obj: object, path: str) -> str | None:
    """The name under which `obj` is stored, None where it has none that stands for it.

    Raises:
        EncodeModuleError: Its name belongs to another definition by now.

    Example:

    ```python
    >>> import flax.linen as nn
    >>> from flaxlayer_core.config.world import name_of
    >>> name_of(nn.Dense, "cls")
    'flax.linen:Dense'

    ```
    """
    explicit = next((name for name, held in list(_registered.items()) if held is obj), None)
    name = explicit or stock_name(obj) or optional_name(obj)
    if name or not _has_own_name(obj):
        return name
    name = str(qualified_name(obj))
    newest = latest(obj)
    if newest is not obj or name not in _remembered:
        _remembered.setdefault(name, newest)
    elif latest(_remembered[name]) is obj:
        _remembered[name] = obj  # defined anew since the name was last used
    else:
        check_same(_remembered[name], obj, path)
    return name


def check_same(holder: object, obj: object, path: str) -> None:
    """Raises where a name stands for `holder`, and `obj` is another definition.

    Raises:
        EncodeModuleError: They are different.
    """
    if same_definition(holder, obj):
        return
    raise cannot_store(
        path,
        expected="a name that stands for one definition",
        found=f"{describe(obj)}, whose name another definition has by now",
        fix="Store it before redefining it, or flaxlayer.register(...) each under its own name=.",
    )


def look_up(name: str, resolve: Resolver | None) -> object | None:
    """What `name` stands for, by dictionary look-up alone; None where it is not known (S2).

    `resolve` is asked first, by the stored name and, for what is not stock, by the plain name.

    Example:

    ```python
    >>> from flaxlayer_core.config.world import look_up
    >>> look_up("flax.linen:Dense", None)
    <class 'flax.linen.linear.Dense'>
    >>> look_up("os:system", None)

    ```
    """
    asked = [name] if name in STOCK else [name, plain_name(name)]
    answers = (resolve(each) for each in asked) if resolve else iter(())
    found = next((answer for answer in answers if answer is not None), None)
    if found is not None:
        return found
    held = _known_as(name)
    return None if held is None else latest(held)


def _known_as(name: str) -> object | None:
    tables = (_registered, STOCK, _remembered)
    exact: object | None = next((table[name] for table in tables if name in table), None)
    if exact is not None:
        return exact
    registered = [*_registered.values(), *(each for held in _registries for each in held())]
    return optional_class(name) or _find_defined(name, registered) or _find_moved(name)


def plain_name(name: str) -> str:
    """The last part of a stored name, such as `Net` of `models.net:Net`."""
    return name.rpartition(">")[2].rpartition(":")[2].rpartition(".")[2]


def split_registered(name: str) -> tuple[str, str]:
    """The package and the name of `package>name`, two empty texts for other names."""
    package, separator, own = name.partition(">")
    # `module:make.<locals>.Net` has that sign too.
    return (package, own) if separator and ":" not in package else ("", "")


def _find_defined(name: str, known: Iterable[object]) -> object | None:
    """The one of `known` whose module and qualified name are `name`."""
    return next((each for each in known if qualified_name(each) == name), None)


def _find_moved(name: str) -> object | None:
    """What was stored under a name that depends on the process.

    The main program names a class otherwise than a program that imports it: there the registered
    one is meant. A process that registered a class names it otherwise than one that only handed it
    to a layer. Where several could be meant, none is.
    """
    package, own = split_registered(name)
    if own:
        handed = [*_remembered.values()] if package == _PACKAGE else []
        found = [each for each in handed if getattr(each, "__name__", None) == own]
    else:
        found = [each for each in _registered.values() if _is_moved(name, each)]
    alone = {id(each): each for each in found}
    return next(iter(alone.values())) if len(alone) == 1 else None


def _is_moved(name: str, known: object) -> bool:
    module, _, qualname = name.partition(":")
    home, _, own = str(qualified_name(known)).partition(":")
    return qualname == own and "__main__" in (module, home)


def known_classes() -> Iterator[type]:
    """Every class that a configuration may name at this moment."""
    for table in (_registered, STOCK, _remembered):
        yield from (held for held in list(table.values()) if isinstance(held, type))
