"""Signatures: how arguments, the training flag and the mask reach a method (A1, A2, A4)."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from flaxlayer_core.errors import CallArgumentError
from flaxlayer_core.modules.key_arguments import KeyArgument, find_key_arguments
from flaxlayer_core.modules.protocol import ModuleFacts
from flaxlayer_core.typing import Args, Kwargs, Leaf, Method, PyTree, Rngs

__all__ = ["AUTO_MASK", "NEGATED_FLAGS", "TRAINING_FLAGS", "MethodSignature"]

AUTO_MASK = "auto"
"""The `mask_arg` that finds the argument for a Keras mask by itself (A4)."""

TRAINING_FLAGS = ("training", "train", "is_training")
NEGATED_FLAGS = ("deterministic", "eval", "use_running_average")

_NAMING = {
    "training_arg": "Name an argument of the method, with ~ in front if it gets the negated flag.",
    "mask_arg": "Name an argument of the method, or pass None to hand it no mask.",
}


@dataclass(frozen=True)
class MethodSignature:
    """How one method of a module is called.

    Attributes:
        method: The name of the method, or a function of the module.
        signature: Its signature without the module.
        flags: Arguments that get the training flag, and whether they get its negation.
        mask_arg: The argument that may get a Keras mask (A4), None for none.
        title: The method as messages name it.
        attribute: An attribute of the module, and whether it gets the negated flag, where it and no
            argument tells the mode.
        keys: Arguments that get random keys (R5).
        mask_named: Whether the user named the argument of the mask.
        takes_masks: Whether it may get masks at all, under other names too.
    """

    method: Method
    signature: inspect.Signature
    flags: tuple[tuple[str, bool], ...]
    mask_arg: str | None
    title: str
    attribute: tuple[str, bool] | None = None
    keys: tuple[KeyArgument, ...] = ()
    mask_named: bool = False
    takes_masks: bool = True

    @classmethod
    def from_method(
        cls,
        facts: ModuleFacts,
        method: object,
        *,
        training_arg: str | None = None,
        rng_args: Mapping[str, str] = MappingProxyType({}),
        mask_arg: str | None = AUTO_MASK,
    ) -> MethodSignature:
        """Inspects a method of a module.

        Args:
            facts: What the module is.
            method: None, a name, a bound or unbound method, or a function `f(module, ...)`.
            training_arg: The argument that takes the training flag, `"~name"` for its negation;
                None to find it by the names that are customary in Flax.
            rng_args: Further arguments that get a random key, and its stream; those that the method
                has not are passed over.
            mask_arg: The argument that takes a Keras mask; None for none; `"auto"` for `mask`,
                where the method takes an array of its form there.

        Returns:
            How to call it.

        Raises:
            InspectMethodError: If there is no such public method.
            CallArgumentError: If the method has no argument `training_arg` or `mask_arg`.

        Example:

        ```python
        >>> import flax.linen as nn
        >>> from flaxlayer_core.modules.linen import LinenModule
        >>> MethodSignature.from_method(LinenModule(nn.Dropout(0.5)), None).flags
        (('deterministic', True),)

        ```
        """
        resolved = facts.resolve_method(method)
        signature = facts.signature(resolved)
        name = resolved if isinstance(resolved, str) else getattr(resolved, "__name__", "method")
        title = f"{facts.class_name}.{name}"
        fixed = facts.fixed_keywords(resolved)
        takes, named = mask_arg is not None, mask_arg not in (None, AUTO_MASK)
        if named:
            _check_argument(signature, "mask_arg", mask_arg, title)
        elif mask_arg is not None:
            mask_arg = "mask" if "mask" in signature.parameters.keys() - fixed else None
        make = partial(cls, resolved, signature, mask_named=named, takes_masks=takes)
        keys = tuple(
            argument
            for argument in find_key_arguments(signature, rng_args)
            if argument.name not in fixed
            and (argument.required or argument.name in rng_args or not facts.draws_itself)
        )
        if training_arg is None:
            flags = _customary_flags(facts, signature, resolved, fixed)
            return make(flags, mask_arg, title, keys=keys)
        flag = (training_arg.removeprefix("~"), training_arg.startswith("~"))
        if flag[0] not in signature.parameters and facts.is_mode(flag[0]):
            return make((), mask_arg, title, flag, keys)
        _check_argument(signature, "training_arg", training_arg, title)
        return make((flag,), mask_arg, title, keys=keys)

    def modes(self, training: bool) -> dict[str, bool]:
        """Returns the attributes that tell a module of its own mode which it is (A2).

        Args:
            training: The training flag.

        Returns:
            The customary names, and the one that the user named, with their values.
        """
        flags = [(name, False) for name in TRAINING_FLAGS] + [(n, True) for n in NEGATED_FLAGS]
        if self.attribute is not None:
            flags.append(self.attribute)
        return {name: training != negated for name, negated in flags}

    def bind(
        self,
        args: Args,
        kwargs: Kwargs,
        *,
        training: bool,
        keys: Rngs = MappingProxyType({}),
    ) -> tuple[Args, dict[str, PyTree]]:
        """Completes the arguments of a call with the training flag and random keys.

        What the caller gives wins (A2, R5).

        Args:
            args: Positional arguments of the caller.
            kwargs: Keyword arguments of the caller.
            training: The training flag.
            keys: Random keys by the name of the argument.

        Returns:
            The arguments for the method.

        Raises:
            CallArgumentError: If the arguments do not fit the signature.
        """
        named = self.named_arguments(args, kwargs)
        completed = dict(kwargs)
        for name, negated in self.flags:
            if name not in named and name not in kwargs:
                completed[name] = training != negated
        completed |= {name: key for name, key in keys.items() if name not in named}
        self._check(args, completed)
        return args, completed

    # What masks need to know (A4).

    def takes(self, name: str) -> bool:
        """Tells whether an argument can be given by this keyword."""
        parameter = self.signature.parameters.get(name)
        if parameter is None:
            return name == self.mask_arg  # one that the user named, among **kwargs
        return parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)

    def accepts(self, name: str) -> bool:
        """Tells whether the method takes an argument of this name, among `**kwargs` too."""
        kinds = {parameter.kind for parameter in self.signature.parameters.values()}
        return name in self.signature.parameters or inspect.Parameter.VAR_KEYWORD in kinds

    def masked_by_caller(self, args: Args, kwargs: Kwargs) -> set[str]:
        """Returns the arguments that a caller gives a mask for himself, if they take one.

        As in Keras, `mask=None` asks for the mask of the inputs; a positional None is a value.
        """
        by_keyword = {name for name, value in kwargs.items() if value is not None}
        return by_keyword | (self.named_arguments(args, kwargs).keys() - kwargs.keys())

    def positional_name(self, position: int) -> str:
        """Returns the name of a positional argument."""
        names = [
            name
            for name, parameter in self.signature.parameters.items()
            if parameter.kind not in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD)
        ]
        return names[min(position, len(names) - 1)] if names else ""

    def first_of(self, names: Sequence[str]) -> str:
        """Returns which of some arguments comes first in the signature."""
        order = {name: place for place, name in enumerate(self.signature.parameters)}
        return min(names, key=lambda name: order.get(name, len(order)))

    def named_arguments(self, args: Args, kwargs: Kwargs) -> dict[str, PyTree]:
        """Returns the arguments of the caller by the names that they have in the method.

        Raises:
            CallArgumentError: If the arguments do not fit the signature.
        """
        try:
            return dict(self.signature.bind_partial(*args, **kwargs).arguments)
        except TypeError as error:
            raise self._misfit(args, kwargs, error) from error

    def _check(self, args: Args, kwargs: Kwargs) -> None:
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise self._misfit(args, kwargs, error) from error

    def _misfit(self, args: Args, kwargs: Kwargs, error: TypeError) -> CallArgumentError:
        flags = [f"{name}={'not ' if negated else ''}training" for name, negated in self.flags]
        return CallArgumentError(
            f"The call does not fit {self.title}: {error}.",
            expected=f"{self.title}{self.signature}",
            found=f"{len(args)} positional arguments and keywords {sorted(kwargs)}; the layer "
            f"passes {', '.join(flags) or 'no training flag'}",
            fix="Give the arguments that the method takes; name the training argument with "
            "training_arg='name' or '~name' if it has another name.",
            law="A2",
        )


def _customary_flags(
    facts: ModuleFacts, signature: inspect.Signature, method: Method, fixed: frozenset[str]
) -> tuple[tuple[str, bool], ...]:
    found = []
    for name in (*TRAINING_FLAGS, *NEGATED_FLAGS):
        parameter = signature.parameters.get(name)
        if parameter is None or parameter.kind is parameter.POSITIONAL_ONLY or name in fixed:
            continue
        if parameter.default is None and facts.decides_argument(name, method):
            continue
        found.append((name, name in NEGATED_FLAGS))
    return tuple(found)


def _check_argument(signature: inspect.Signature, setting: str, value: Leaf, title: str) -> None:
    name = value.removeprefix("~")
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    if name not in signature.parameters and inspect.Parameter.VAR_KEYWORD not in kinds:
        raise CallArgumentError(
            f"{title} has no argument for {setting}={value!r}.",
            expected=f"one of: {', '.join(signature.parameters)}",
            found=repr(name),
            fix=_NAMING[setting],
            law="A2" if setting == "training_arg" else "A4",
        )
