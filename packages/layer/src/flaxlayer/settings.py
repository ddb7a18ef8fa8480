"""The settings of a layer: each is declared here, and nowhere else.

From a declaration come the keyword argument of `FlaxLayer` and its line in the documentation, what
is checked of a value, and what a file may hold in its place.
"""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from flaxlayer.counts import as_int
from flaxlayer.json_values import NAMES, SEED, TEXT, TEXTS_BY_NAME, JsonKind, one_of, some_of
from flaxlayer.typing import Function, Variables
from flaxlayer_core import (
    AUTO_MASK,
    CallArgumentError,
    CollectionPolicy,
    DrawKeysError,
    FlaxModule,
    MethodSignature,
    as_names,
    find_key_arguments,
    shorten,
)

__all__ = ["PLAIN_SETTINGS", "Settings", "documented"]

Class = TypeVar("Class", bound=type)

_STATE_UPDATES = ("always", "training", "never")
_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


@dataclass(frozen=True, kw_only=True)
class _Setting:
    """What is declared of a setting.

    Attributes:
        default: The default of the argument.
        about: What it is for.
        read: Makes the value of what the user gave; what is no value it may leave as it is.
        plain: What the value is and a file may hold in its place, None where it is no plain value.
        kind: The class of a value that is none.
        expected: What the value is, for an error.
        fix: What to do about another.
        law: The law that speaks of it.
        error: The error of another value.
    """

    default: object
    about: str
    read: Function = lambda value: value
    plain: JsonKind | None = None
    kind: type = object
    expected: str = ""
    fix: str = ""
    law: str = ""
    error: type[CallArgumentError | DrawKeysError] = CallArgumentError

    def take(self, name: str, given: object) -> Any:
        """Makes the value of what the user gave.

        Args:
            name: The setting's.
            given: The argument.

        Raises:
            CallArgumentError: If it is none that the setting takes; `error`, where another stands.
        """
        value = self.read(given)
        if self.plain.accepts(value) if self.plain else isinstance(value, self.kind):
            return value
        raise self.error(
            f"FlaxLayer cannot use this {name}.",
            expected=self.expected,
            found=shorten(given),
            fix=self.fix,
            law=self.law,
        )


def _setting(default: object, about: str, **declared: Any) -> Any:
    setting = _Setting(default=default, about=about, **declared)
    return dataclasses.field(
        default_factory=lambda: setting.read(default), metadata={"setting": setting}
    )


def _names(given: object) -> object:
    names = as_names(given)
    return given if names is None else names


def _texts_by_name(given: object) -> object:
    return dict(given or {}) if given is None or isinstance(given, Mapping) else given


def _seed(given: object) -> object:
    number = as_int(given)
    return given if number is None else number


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
        read=_names,
        plain=NAMES.or_none(),
        expected="None, or names of streams, such as ('dropout',)",
        fix="Name the streams that the module draws from.",
        law="R2",
    )
    training_arg: str | None = _setting(
        None,
        'The argument of the method that takes the training flag, `"~name"` for its negation, '
        "where the name is not a customary one.",
        plain=TEXT.or_none(),
        expected="None, or the name of an argument, such as 'train' or '~deterministic'",
        fix="Name an argument of the method.",
        law="F1",
    )
    rng_args: Mapping[str, str] = _setting(
        None,
        "Arguments of the method that get a random key, by name, and the stream of each: "
        '`{"key": "noise"}`. One that is annotated as `nnx.Rngs` or `nnx.RngStream`, or is called '
        "`rngs`, gets its streams without it. What the caller gives wins.",
        read=_texts_by_name,
        plain=TEXTS_BY_NAME,
        expected="names of arguments with names of streams, such as {'key': 'noise'}",
        fix="Name the arguments of the method that take random keys.",
        law="R5",
    )
    mask_arg: str | None = _setting(
        AUTO_MASK,
        'The argument of the method that takes a Keras mask; None for none. `"auto"` is `mask`, '
        "where the method takes an array of `[batch, time]` there, or, as attention does, one over "
        "keys, `[batch, 1, 1, time]`. A mask that the caller gives reaches it unchanged.",
        plain=TEXT.or_none(),
        expected="None, 'auto', or the name of an argument",
        fix="Name an argument of the method.",
        law="A4",
    )
    init_method: str | Function | None = _setting(
        None, "The method that initialises, where it is another than `method`."
    )
    state_updates: str = _setting(
        "always",
        'When changed state is kept: `"always"`, in `"training"`, or `"never"`.',
        plain=one_of(_STATE_UPDATES),
        expected=f"one of {', '.join(_STATE_UPDATES)}",
        fix="Choose when changed state is kept.",
        law="C3",
    )
    return_sown: tuple[str, ...] = _setting(
        (),
        "Transient collections to return: the layer then returns `(outputs, sown)`.",
        read=_names,
        plain=NAMES,
        expected="names of collections, such as ('intermediates',)",
        fix="Name the collections to return.",
        law="C7",
    )
    losses: tuple[str, ...] = _setting(
        ("losses",),
        "Collections whose leaves are summed and added to the losses of the layer.",
        read=_names,
        plain=NAMES,
        expected="names of collections, such as ('losses',)",
        fix="Name the collections that hold losses.",
        law="C7",
    )
    seed: int | None = _setting(
        None,
        "Seed of init and calls, `0 <= seed < 2**32`; None for Keras's global seed.",
        read=_seed,
        plain=SEED.or_none("null, or an integer from 0 to 2**32 - 1"),
        expected="None, or an int with 0 <= seed < 2**32",
        fix="Pass such a seed, or None for Keras's global seed.",
        law="R3",
        error=DrawKeysError,
    )
    collections: CollectionPolicy = _setting(
        None,
        "Roles of collections by name, where the ones found do not fit.",
        read=lambda given: CollectionPolicy() if given is None else given,
        kind=CollectionPolicy,
        expected="a flaxlayer_core.CollectionPolicy",
        fix="Give one, such as CollectionPolicy(state=('cache',)).",
        law="C2",
    )
    native_serialization_platforms: tuple[str, ...] | None = _setting(
        None,
        'What TensorFlow shall run the module on, on the TensorFlow backend: some of `"cpu"`, '
        '`"cuda"`, `"rocm"` and `"tpu"`; None for the CPU.',
        read=lambda given: given if isinstance(given, str) else _names(given),
        plain=some_of(_PLATFORMS).or_none(f"null, or some of {_PLATFORMS}"),
        expected=f"None, or some of {', '.join(_PLATFORMS)}",
        fix="Name the platforms that TensorFlow will run the module on.",
        law="K2",
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
            name: setting.take(name, arguments.pop(name, setting.default))
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
