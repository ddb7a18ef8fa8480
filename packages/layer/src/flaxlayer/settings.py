"""The settings of a layer, checked once (the keyword arguments of `FlaxLayer`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flaxlayer_core import (
    AUTO_MASK,
    CallArgumentError,
    CollectionPolicy,
    FlaxModule,
    MethodSignature,
    find_key_arguments,
    shorten,
)

__all__ = ["PLATFORMS", "STATE_UPDATES", "Settings", "checked_rng_args"]

STATE_UPDATES = ("always", "training", "never")
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def checked_rng_args(rng_args: Any) -> dict[str, str]:
    """Returns a copy of `rng_args`.

    Raises:
        CallArgumentError: If it does not map names to names.
    """
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


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a user chose for a layer; see `FlaxLayer`.

    The values of given variables are kept until the layer has them, their form for its files (B4).
    """

    method: str | Callable[..., Any] | None = None
    rngs: tuple[str, ...] | None = None
    training_arg: str | None = None
    rng_args: Mapping[str, str] = field(default_factory=dict)
    mask_arg: str | None = AUTO_MASK
    init_method: str | Callable[..., Any] | None = None
    state_updates: str = "always"
    return_sown: tuple[str, ...] = ()
    losses: tuple[str, ...] = ("losses",)
    seed: int | None = None
    collections: CollectionPolicy = field(default_factory=CollectionPolicy)
    native_serialization_platforms: tuple[str, ...] | None = None
    variables: Mapping[str, Any] | None = None
    given_form: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.state_updates not in STATE_UPDATES:
            raise CallArgumentError(
                "FlaxLayer cannot use this state_updates.",
                expected=f"one of {', '.join(STATE_UPDATES)}",
                found=shorten(self.state_updates),
                fix="Choose when changed state is kept.",
                law="C3",
            )
        platforms = self.native_serialization_platforms
        if platforms is not None and not (platforms and set(platforms) <= set(PLATFORMS)):
            raise CallArgumentError(
                "FlaxLayer cannot use these native_serialization_platforms.",
                expected=f"some of {', '.join(PLATFORMS)}",
                found=shorten(platforms),
                fix="Name the platforms that TensorFlow will run the module on.",
                law="K2",
            )

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
            flax_module,
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
            flax_module, self.init_method, rng_args=self.rng_args
        )
        name = (self.training_arg or "").removeprefix("~")
        if name in init_call.signature.parameters:
            return MethodSignature.from_method(
                flax_module,
                self.init_method,
                training_arg=self.training_arg,
                rng_args=self.rng_args,
            )
        return init_call
