"""Signatures: how arguments, the training flag and the mask reach a method (A1, A2, A4)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from flaxlayer_core.errors import CallArgumentError
from flaxlayer_core.key_arguments import KeyArgument, find_key_arguments
from flaxlayer_core.protocol import FlaxModule

__all__ = ["NEGATED_FLAGS", "TRAINING_FLAGS", "MethodCall"]

TRAINING_FLAGS = ("training", "train", "is_training")
NEGATED_FLAGS = ("deterministic", "eval", "use_running_average")


@dataclass(frozen=True)
class MethodCall:
    """How one method of a module is called.

    Attributes:
        method: The name of the method, or a function of the module.
        signature: Its signature without the module.
        flags: Arguments that get the training flag, and whether they get its negation.
        takes_mask: Whether it has an argument `mask`.
        label: The method as messages name it.
        attribute: An attribute of the module, and whether it gets the negated flag, where it and no
            argument tells the mode.
        keys: Arguments that get random keys (R5).
    """

    method: str | Callable[..., Any]
    signature: inspect.Signature
    flags: tuple[tuple[str, bool], ...]
    takes_mask: bool
    label: str
    attribute: tuple[str, bool] | None = None
    keys: tuple[KeyArgument, ...] = ()

    @classmethod
    def from_method(
        cls,
        flax_module: FlaxModule,
        method: Any,
        *,
        training_arg: str | None = None,
        rng_args: Mapping[str, str] = MappingProxyType({}),
    ) -> MethodCall:
        """Inspects a method of a module.

        Args:
            flax_module: The module behind core's protocol.
            method: None, a name, a bound or unbound method, or a function `f(module, ...)`.
            training_arg: The argument that takes the training flag, `"~name"` for its negation;
                None to find it by the names that are customary in Flax.
            rng_args: Further arguments that get a random key, and its stream; those that the method
                has not are passed over.

        Returns:
            How to call it.

        Raises:
            InspectMethodError: If there is no such public method.
            CallArgumentError: If the method has no argument `training_arg`.

        Example:

        ```python
        >>> import flax.linen as nn
        >>> from flaxlayer_core.linen import LinenModule
        >>> MethodCall.from_method(LinenModule(nn.Dropout(0.5)), None).flags
        (('deterministic', True),)

        ```
        """
        resolved = flax_module.resolve_method(method)
        signature = flax_module.signature(resolved)
        name = resolved if isinstance(resolved, str) else getattr(resolved, "__name__", "method")
        label = f"{flax_module.class_name}.{name}"
        fixed = flax_module.fixed_keywords(resolved)
        takes_mask = "mask" in signature.parameters.keys() - fixed
        keys = tuple(k for k in find_key_arguments(signature, rng_args) if k.name not in fixed)
        if training_arg is None:
            flags = _customary_flags(flax_module, signature, resolved)
            return cls(resolved, signature, flags, takes_mask, label, keys=keys)
        flag = (training_arg.removeprefix("~"), training_arg.startswith("~"))
        if flag[0] not in signature.parameters and flax_module.is_mode(flag[0]):
            return cls(resolved, signature, (), takes_mask, label, flag, keys)
        _check_argument(signature, training_arg, label)
        return cls(resolved, signature, (flag,), takes_mask, label, keys=keys)

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
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        training: bool,
        keys: Mapping[str, Any] = MappingProxyType({}),
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
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
        given = self.given(args, kwargs)
        completed = dict(kwargs)
        for name, negated in self.flags:
            if name not in given and name not in kwargs:
                completed[name] = training != negated
        completed |= {name: key for name, key in keys.items() if name not in given}
        self._check(args, completed)
        return args, completed

    def add_mask(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], mask: Any
    ) -> dict[str, Any]:
        """Completes the keyword arguments of a call with the Keras mask (A4).

        Args:
            args: Positional arguments of the caller.
            kwargs: Keyword arguments of the caller.
            mask: The mask of the inputs, None if they have none.

        Returns:
            The keyword arguments, with `mask` if the method takes one that nobody gave.

        Raises:
            CallArgumentError: If the arguments do not fit the signature.
        """
        if mask is None or not self.takes_mask:
            return dict(kwargs)
        # As in Keras, mask=None asks for the mask of the inputs; a positional None is a value.
        if "mask" in self.given(args, kwargs) and kwargs.get("mask", args) is not None:
            return dict(kwargs)
        return {**kwargs, "mask": mask}

    def given(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments of the caller by the names that they have in the method.

        Raises:
            CallArgumentError: If the arguments do not fit the signature.
        """
        try:
            return dict(self.signature.bind_partial(*args, **kwargs).arguments)
        except TypeError as error:
            raise self._misfit(args, kwargs, error) from error

    def _check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise self._misfit(args, kwargs, error) from error

    def _misfit(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], error: TypeError
    ) -> CallArgumentError:
        flags = [f"{name}={'not ' if negated else ''}training" for name, negated in self.flags]
        return CallArgumentError(
            f"The call does not fit {self.label}: {error}.",
            expected=f"{self.label}{self.signature}",
            found=f"{len(args)} positional arguments and keywords {sorted(kwargs)}; the layer "
            f"passes {', '.join(flags) or 'no training flag'}",
            fix="Give the arguments that the method takes; name the training argument with "
            "training_arg='name' or '~name' if it has another name.",
            law="A2",
        )


def _customary_flags(
    flax_module: FlaxModule, signature: inspect.Signature, method: str | Callable[..., Any]
) -> tuple[tuple[str, bool], ...]:
    found = []
    decided = flax_module.fixed_keywords(method)
    for name in (*TRAINING_FLAGS, *NEGATED_FLAGS):
        parameter = signature.parameters.get(name)
        if parameter is None or parameter.kind is parameter.POSITIONAL_ONLY or name in decided:
            continue
        if parameter.default is None and flax_module.fixed_setting(name, method):
            continue
        found.append((name, name in NEGATED_FLAGS))
    return tuple(found)


def _check_argument(signature: inspect.Signature, training_arg: str, label: str) -> None:
    name = training_arg.removeprefix("~")
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    if name not in signature.parameters and inspect.Parameter.VAR_KEYWORD not in kinds:
        raise CallArgumentError(
            f"{label} has no argument for training_arg={training_arg!r}.",
            expected=f"one of: {', '.join(signature.parameters)}",
            found=repr(name),
            fix="Name an argument of the method, with ~ in front if it gets the negated flag.",
            law="A2",
        )
