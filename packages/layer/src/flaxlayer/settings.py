"""The settings of a layer: each is declared here, and nowhere else.

From a declaration come the keyword argument of `FlaxLayer` and its line in the documentation, what
is checked of a value, and what a file may hold in its place.
"""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from flaxlayer.json_values import NAMES, SEED, TEXT, TEXTS_BY_NAME, JsonKind, one_of, some_of
from flaxlayer.typing import Array, Function, Variables
from flaxlayer_core import (
    AUTO_MASK,
    CallArgumentError,
    CollectionPolicy,
    DrawKeysError,
    FlaxModule,
    MethodSignature,
    find_key_arguments,
    shorten,
)

__all__ = ["PLAIN_SETTINGS", "Settings", "documented"]

Class = TypeVar("Class", bound=type)

_STATE_UPDATES = ("always", "training", "never")
_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


@dataclass(frozen=True)
class _Setting:
    """What is declared of a setting.

    Attributes:
        default: The default of the argument.
        about: What it is for.
        take: Makes the value of what the user gave, or raises an error.
        plain: What a file may hold in its place, None where it is no plain value.
    """

    default: object
    about: str
    take: Function
    plain: JsonKind | None


def _setting(
    default: object,
    about: str,
    *,
    take: Function = lambda value: value,
    plain: JsonKind | None = None,
) -> Any:
    declared = _Setting(default, about, take, plain)
    return dataclasses.field(default_factory=lambda: take(default), metadata={"setting": declared})


def _names(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _rng_args(rng_args: object) -> dict[str, str]:
    if rng_args is None:
        return {}
    if isinstance(rng_args, Mapping) and all(
        isinstance(name, str) for pair in rng_args.items() for name in pair
    ):
        return dict(rng_args)
    raise CallArgumentError(
        "FlaxLayer cannot use these rng_args.",
        expected="names of arguments with names of streams, such as {'key': 'noise'}",
        found=shorten(rng_args),
        fix="Name the arguments of the method that take random keys.",
        law="R5",
    )


def _state_updates(value: str) -> str:
    if value in _STATE_UPDATES:
        return value
    raise CallArgumentError(
        "FlaxLayer cannot use this state_updates.",
        expected=f"one of {', '.join(_STATE_UPDATES)}",
        found=shorten(value),
        fix="Choose when changed state is kept.",
        law="C3",
    )


def _seed(seed: Array) -> int | None:
    if seed is None:
        return None
    if isinstance(seed, int) and 0 <= seed < 2**32:
        return seed
    raise DrawKeysError(
        "FlaxLayer cannot use this seed.",
        expected="None, or an int with 0 <= seed < 2**32",
        found=shorten(seed),
        fix="Pass such a seed, or None for Keras's global seed.",
        law="R3",
    )


def _platforms(given: Sequence[str] | None) -> tuple[str, ...] | None:
    platforms = _names(given)
    if platforms is None or (platforms and set(platforms) <= set(_PLATFORMS)):
        return platforms
    raise CallArgumentError(
        "FlaxLayer cannot use these native_serialization_platforms.",
        expected=f"some of {', '.join(_PLATFORMS)}",
        found=shorten(platforms),
        fix="Name the platforms that TensorFlow will run the module on.",
        law="K2",
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a user chose for a layer; see `FlaxLayer`.

    The values of given variables are kept until the layer has them, their form for its files (B4).
    """

    method: str | Function | None = None
    variables: Variables | None = None
    given_form: Variables | None = None

    rngs: tuple[str, ...] | None = _setting(
        None,
        "The rng streams of the module, instead of those that are found by themselves.",
        take=_names,
        plain=NAMES.or_none(),
    )
    training_arg: str | None = _setting(
        None,
        'The argument of the method that takes the training flag, `"~name"` for its negation, '
        "where the name is not a customary one.",
        plain=TEXT.or_none(),
    )
    rng_args: Mapping[str, str] = _setting(
        None,
        "Arguments of the method that get a random key, by name, and the stream of each: "
        '`{"key": "noise"}`. One that is annotated as `nnx.Rngs` or `nnx.RngStream`, or is called '
        "`rngs`, gets its streams without it. What the caller gives wins.",
        take=_rng_args,
        plain=TEXTS_BY_NAME,
    )
    mask_arg: str | None = _setting(
        AUTO_MASK,
        'The argument of the method that takes a Keras mask; None for none. `"auto"` is `mask`, '
        "where the method takes an array of `[batch, time]` there, or, as attention does, one over "
        "keys, `[batch, 1, 1, time]`. A mask that the caller gives reaches it unchanged.",
        plain=TEXT.or_none(),
    )
    init_method: str | Function | None = _setting(
        None, "The method that initialises, where it is another than `method`."
    )
    state_updates: str = _setting(
        "always",
        'When changed state is kept: `"always"`, in `"training"`, or `"never"`.',
        take=_state_updates,
        plain=one_of(_STATE_UPDATES),
    )
    return_sown: tuple[str, ...] = _setting(
        (),
        "Transient collections to return: the layer then returns `(outputs, sown)`.",
        take=tuple,
        plain=NAMES,
    )
    losses: tuple[str, ...] = _setting(
        ("losses",),
        "Collections whose leaves are summed and added to the losses of the layer.",
        take=tuple,
        plain=NAMES,
    )
    seed: int | None = _setting(
        None,
        "Seed of init and calls, `0 <= seed < 2**32`; None for Keras's global seed.",
        take=_seed,
        plain=SEED.or_none("null, or an integer from 0 to 2**32 - 1"),
    )
    collections: CollectionPolicy = _setting(
        None,
        "Roles of collections by name, where the ones found do not fit.",
        take=lambda policy: policy or CollectionPolicy(),
    )
    native_serialization_platforms: tuple[str, ...] | None = _setting(
        None,
        'What TensorFlow shall run the module on, on the TensorFlow backend: some of `"cpu"`, '
        '`"cuda"`, `"rocm"` and `"tpu"`; None for the CPU.',
        take=_platforms,
        plain=some_of(_PLATFORMS).or_none(f"null, or some of {_PLATFORMS}"),
    )

    @classmethod
    def take(cls, arguments: dict[str, Any], **others: Any) -> Settings:
        """Takes the settings out of keyword arguments.

        Args:
            arguments: Keyword arguments of `FlaxLayer`; what is left in it is Keras's.
            **others: What is no keyword of its own: `method`, `variables`.

        Raises:
            CallArgumentError: If a value is none that the setting takes.
            DrawKeysError: If the seed is out of range.
        """
        values = {
            name: setting.take(arguments.pop(name, setting.default))
            for name, setting in _DECLARED.items()
        }
        return cls(**values, **others)

    @property
    def platforms(self) -> tuple[str, ...]:
        """What TensorFlow runs the module on (K2)."""
        return self.native_serialization_platforms or ("cpu",)

    @property
    def policy(self) -> CollectionPolicy:
        """Roles by name, with what is returned or summed as transient (C7)."""
        return self.collections.with_transient(*self.return_sown, *self.losses)

    def method_signatures(self, flax_module: FlaxModule) -> tuple[MethodSignature, MethodSignature]:
        """Returns how the method and the initialising method are called."""
        call = MethodSignature.from_method(
            flax_module.facts,
            self.method,
            training_arg=self.training_arg,
            rng_args=self.rng_args,
            mask_arg=self.mask_arg,
        )
        find_key_arguments(call.signature, self.rng_args, title=call.title)
        if self.init_method is None:
            return call, call
        return call, self._init_call(flax_module)

    def _init_call(self, flax_module: FlaxModule) -> MethodSignature:
        init_call = MethodSignature.from_method(
            flax_module.facts, self.init_method, rng_args=self.rng_args
        )
        name = (self.training_arg or "").removeprefix("~")
        if name in init_call.signature.parameters:
            return MethodSignature.from_method(
                flax_module.facts,
                self.init_method,
                training_arg=self.training_arg,
                rng_args=self.rng_args,
            )
        return init_call


_DECLARED: Mapping[str, _Setting] = {
    field.name: field.metadata["setting"]
    for field in dataclasses.fields(Settings)
    if "setting" in field.metadata
}
PLAIN_SETTINGS: Mapping[str, JsonKind] = {
    name: setting.plain for name, setting in _DECLARED.items() if setting.plain is not None
}


def documented(cls: Class) -> Class:
    """Gives the constructor of a layer its signature, and its documentation their lines.

    Args:
        cls: A class whose constructor takes the settings among its `**kwargs`, and whose docstring
            has a line `        {settings}` for them.
    """
    constructor: Any = cls.__init__  # type: ignore[misc]
    signature = inspect.signature(constructor)
    *named, rest = signature.parameters.values()
    declared = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=setting.default,
            annotation=Settings.__annotations__[name],
        )
        for name, setting in _DECLARED.items()
    ]
    constructor.__signature__ = signature.replace(parameters=[*named, *declared, rest])
    lines = "\n".join(_line(name, setting) for name, setting in _DECLARED.items())
    cls.__doc__ = (cls.__doc__ or "").replace("        {settings}", lines)
    return cls


def _line(name: str, setting: _Setting) -> str:
    return textwrap.fill(
        f"{name}: {setting.about}",
        100,
        initial_indent=" " * 8,
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )
