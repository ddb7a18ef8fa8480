"""How a framework does an operation: its Python text at a site, in linen and in nnx (T1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flaxlayer_testing.spec.spec import Json, Options, ValueType

__all__ = [
    "CACHE",
    "Form",
    "Site",
    "Text",
    "dtype_text",
    "in_both",
    "keywords_text",
    "layer",
    "linen_stock",
    "nnx_linear",
    "nnx_on_variable",
    "nnx_stock",
    "plain_call",
    "with_module",
]

CACHE = 4
"""How many elements the cache of an attention holds."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where the text of an operation stands: what it may refer to.

    Attributes:
        args: Python names of the arguments.
        options: Options of the node.
        index: Number of its first result, for names of variables.
        types: The types of its arguments.
        layer: The expression of its layer, where it has one.
        training: Python expression that is true in training.
        inference: Python expression that is true at inference.
        batch_size: The size of the batch, for a cache.
        flax: What the framework is called in the text.
    """

    args: tuple[str, ...]
    options: Options
    index: int
    types: tuple[ValueType, ...] = ()
    layer: str = ""
    training: str = "True"
    inference: str = "False"
    batch_size: int = 2
    flax: str = "nn"

    @property
    def size(self) -> int:
        """The number of features of the first argument."""
        return self.types[0].shape[-1]


Text = Callable[[Site], str]
"""Python text at a site."""


def plain_call(site: Site) -> str:
    """Returns the text that calls the layer with the arguments."""
    return f"{site.layer}({', '.join(site.args)})"


@dataclass(frozen=True)
class Form:
    """How a framework does an operation.

    It is one expression, or that of a layer which is made in one place and called in another,
    possibly more than once.

    Attributes:
        call: The expression that does it; of its layer, where it has one.
        make: The expression that makes its layer, or a variable or stream that it needs.
        lacks: Values of its options that the framework does not have.
        pieces: Functions and classes that its text refers to and that stand beside it, not in
            `render/pieces`: they need `jax`, `jnp` and the framework only, and each other.
    """

    call: Text = plain_call
    make: Text | None = None
    lacks: frozenset[Json] = frozenset()
    pieces: tuple[Any, ...] = ()

    def has(self, options: Options) -> bool:
        """Tells whether the framework has all that options ask for."""
        return not self.lacks.intersection(options.values())


MODES: Mapping[str, bool] = {
    "deterministic": False,
    "use_running_average": False,
    "update_stats": True,
}
"""What linen layers call the mode; False where the name means inference."""


def _plain_arguments(site: Site) -> str:
    return ", ".join(site.args)


def layer(make: Text, *, arguments: Text = _plain_arguments, mode: str = "") -> Form:
    """Returns the form of a layer.

    Args:
        make: The expression that makes it.
        arguments: The text of the arguments that it is called with.
        mode: What it calls the mode in a call, one of `MODES`; empty if it takes none.

    Returns:
        A form.
    """

    def call(site: Site) -> str:
        parts = [arguments(site)]
        if mode:
            parts.append(f"{mode}={site.training if MODES[mode] else site.inference}")
        return f"{site.layer}({', '.join(parts)})"

    return Form(call, make)


def in_both(call: Text) -> dict[str, Form]:
    """Returns the forms of what both frameworks do by the same expression, without a layer."""
    return {"linen": Form(call), "nnx": Form(call)}


def with_module(function: str, *, named: bool = False, flag: bool = False) -> Text:
    """Returns the call of a function of `render/pieces` that is given the module itself.

    Args:
        function: Its name.
        named: Whether it takes a name for its variables.
        flag: Whether it takes the mode.

    Returns:
        The text of the call at a site.
    """

    def call(site: Site) -> str:
        keywords = {"name": repr(f"{function}_{site.index}")} if named else {}
        keywords |= {"training": site.training} if flag else {}
        keywords |= {key: repr(value) for key, value in site.options.items()}
        arguments = ["self", *site.args, *(f"{key}={value}" for key, value in keywords.items())]
        return f"{function}({', '.join(arguments)})"

    return call


def dtype_text(name: Json) -> str:
    """Returns the Python text of a dtype."""
    return f"jnp.{name}"


def keywords_text(options: Options) -> list[str]:
    """Returns options as the texts of keyword arguments."""
    return [f"{key}={_option_text(key, value)}" for key, value in options.items()]


def _option_text(key: str, value: Json) -> str:
    return dtype_text(value) if key in ("param_dtype", "dtype") else repr(value)


# Layers of linen and nnx.


def linen_stock(name: str, **more: str) -> Text:
    """Returns what makes the text `nn.Layer(option=value, ...)`.

    Args:
        name: The name of the layer.
        **more: Texts of keyword arguments beside the options.

    Returns:
        The text of a layer at a site.
    """

    def text(site: Site) -> str:
        keywords = [f"{key}={value}" for key, value in more.items()]
        return f"nn.{name}({', '.join([*keywords_text(site.options), *keywords])})"

    return text


def nnx_stock(name: str, *first: str, size: bool = True, rngs: bool = True, **more: str) -> Text:
    """Returns what makes the text `nnx.Layer(size, option, option=value, ..., rngs=rngs)`.

    Args:
        name: The name of the layer.
        *first: Options that are given by position; the others are given by name.
        size: Whether it takes the number of features first.
        rngs: Whether it takes random streams.
        **more: Texts of keyword arguments beside the options.

    Returns:
        The text of a layer at a site.
    """

    def text(site: Site) -> str:
        by_name = {key: value for key, value in site.options.items() if key not in first}
        parts = [str(site.size)] if size else []
        parts += [repr(site.options[key]) for key in first] + keywords_text(by_name)
        parts += [f"{key}={value}" for key, value in more.items()]
        return f"nnx.{name}({', '.join([*parts, *(['rngs=rngs'] if rngs else [])])})"

    return text


def nnx_linear(size: object, features: object, *more: str) -> str:
    """Returns the text of an `nnx.Linear`, with further arguments."""
    return f"nnx.Linear({', '.join([str(size), str(features), *more, 'rngs=rngs'])})"


def nnx_on_variable(function: str, *, flag: bool = False) -> Text:
    """Returns the call of a function of `render/pieces` that is given a variable or stream.

    Args:
        function: Its name.
        flag: Whether it takes the mode.

    Returns:
        The text of the call at a site.
    """

    def call(site: Site) -> str:
        shown = {key: value for key, value in site.options.items() if key == "decay"}
        mode = [f"training={site.training}"] if flag else []
        return f"{function}({', '.join([*site.args, site.layer, *keywords_text(shown), *mode])})"

    return call
