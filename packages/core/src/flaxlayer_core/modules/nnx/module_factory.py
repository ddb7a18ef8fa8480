"""What makes an nnx module like an object that a file cannot hold (S1, R2)."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

from flax import nnx

from flaxlayer_core.errors import EncodeModuleError
from flaxlayer_core.modules.nnx.graph import rng_streams
from flaxlayer_core.typing import Function

__all__ = ["ModuleFactory", "init_streams", "to_factory"]

# Flax's own layers ask for the last two; whatever else a module asks for falls back to the first.
_INIT_STREAMS = ("default", "dropout", "params")


class ModuleFactory(functools.partial[nnx.Module]):
    """Makes a module like an object that was stored, with the random streams that it had.

    With other streams the new module would draw other numbers from the same seed (R2).

    Args:
        func: The class of the module.
        config: The keyword arguments of its constructor.
        streams: The streams of the object.

    Example:

    ```python
    >>> make = ModuleFactory.of(nnx.Dropout, {"rate": 0.5}, ["noise"])
    >>> make(rngs=nnx.Rngs(**dict.fromkeys(init_streams(make), 0))).rate
    0.5
    >>> init_streams(make)
    ('default', 'noise')

    ```
    """

    streams: tuple[str, ...]

    @classmethod
    def of(
        cls, func: Function, config: Mapping[str, object], streams: Iterable[str]
    ) -> ModuleFactory:
        """Binds the arguments."""
        made = cls(func, **config)
        made.streams = tuple(sorted(streams))
        return made

    @property
    def plain(self) -> functools.partial[nnx.Module]:
        """What makes the module with whatever streams there are."""
        return functools.partial(self.func, *self.args, **self.keywords)


def init_streams(factory: object) -> tuple[str, ...]:
    """Returns the names of the streams that a module is made with.

    Args:
        factory: A class, a function, or a `functools.partial`.

    Returns:
        Those that Flax's layers ask for; for a module like another, those that the other has.
    """
    if isinstance(factory, ModuleFactory):
        return tuple(dict.fromkeys(("default", *factory.streams)))
    return _INIT_STREAMS


def to_factory(module: object) -> object:
    """Returns what makes a module like this one, which is what a file can hold (S1).

    Args:
        module: An nnx module, or what makes one.

    Returns:
        A `ModuleFactory` of its class with what its `get_config()` says; what makes a module, as it
        is.

    Raises:
        EncodeModuleError: If the module does not tell the arguments of its constructor.
    """
    if not isinstance(module, nnx.Module):
        return module
    name = type(module).__name__
    get_config = getattr(module, "get_config", None)
    config = get_config() if callable(get_config) else None
    if isinstance(config, Mapping):
        tags = {stream.tag for stream in rng_streams(module)}
        return ModuleFactory.of(type(module), config, tags)
    raise EncodeModuleError(
        f"Cannot store {name}.",
        expected="an nnx module that tells the arguments of its constructor",
        found="one without get_config()" if config is None else f"get_config() gives {config!r}",
        fix=f"Pass functools.partial({name}, ...) in its place, or let {name}.get_config() return "
        "the keyword arguments of its constructor, without rngs.",
        law="S1",
    )
