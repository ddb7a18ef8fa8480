"""`FlaxLayer`: any Flax module as a Keras layer."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import keras

from flaxlayer.backends import current_backend
from flaxlayer.creation import WeightCreation
from flaxlayer.locks import LayerLocks
from flaxlayer.memory import size_bound
from flaxlayer.methods import FlaxMethod
from flaxlayer.saving import layer_config as configuring
from flaxlayer.saving.handed_names import remember_arguments, remember_handed
from flaxlayer.saving.sharing import new_token
from flaxlayer.settings import Settings, checked_rng_args
from flaxlayer.weights.freezing import FrozenPaths
from flaxlayer.weights.variables import FlaxWeights
from flaxlayer_core import (
    AUTO_MASK,
    ArgumentStructure,
    BuildSpec,
    CollectionPolicy,
    DrawKeysError,
    FlaxModule,
    ModuleCall,
    ModuleSpec,
    ReadUnbuiltError,
    flatten_with_paths,
    format_path,
    init_rngs,
    is_form,
    normalize_variables,
    refuse_given,
    shorten,
    wrap_module,
)

__all__ = ["FlaxLayer"]


@keras.saving.register_keras_serializable(package="flaxlayer")
class FlaxLayer(WeightCreation):
    """Runs a module of `flax.linen` or `flax.nnx` as a Keras layer.

    It takes the place of `keras.layers.FlaxLayer`: `module`, `method` and `variables` mean the
    same, `params` are trainable, every other collection that keeps its form is non-trainable
    state, random keys come by themselves, and models with it save, load and export. Beyond that
    arguments reach the method unchanged, whatever they are, and the training flag reaches
    `training`, `train`, `is_training`, and negated `deterministic`, `eval` and
    `use_running_average`, in a module of nnx its attributes too.

    A module of nnx is never changed. One that exists keeps its values; what makes one is called at
    build with `rngs=nnx.Rngs(**layer.init_rngs())`. Types of variables are collections, by Flax's
    names for them. Random streams are reseeded for each call, as
    `nnx.reseed(module, policy="match_shape", **layer.peek_rngs(training=...))` does it.

    Args:
        module: An unbound instance of `flax.linen.Module`; an instance of `flax.nnx.Module`; or
            what makes one: a function, a method, a class, or a `functools.partial` of these. It is
            called when the layer is made; one of nnx that takes `rngs` at build. A file holds its
            name and its arguments, so that a module with fields that no file can hold is saved all
            the same. An nnx object is saved if its class has a `get_config()` that returns the
            keyword arguments of its constructor.
        method: The method to call: a name, a bound or an unbound method, or a function whose
            first argument is the module. Defaults to `__call__`.
        variables: Initial values, as `Module.init` returns them; collections and leaves that are
            missing are initialised.
        rngs: The rng streams of the module, instead of those that are found by themselves.
        training_arg: The argument of the method that takes the training flag, `"~name"` for its
            negation, where the name is not a customary one.
        rng_args: Arguments of the method that get a random key, by name, and the stream of each:
            `{"key": "noise"}`. One that is annotated as `nnx.Rngs` or `nnx.RngStream`, or is called
            `rngs`, gets its streams without it. What the caller gives wins.
        mask_arg: The argument of the method that takes a Keras mask; None for none. `"auto"` is
            `mask`, where the method takes an array of `[batch, time]` there, or, as attention does,
            one over keys, `[batch, 1, 1, time]`. A mask that the caller gives reaches it unchanged.
        init_method: The method that initialises, where it is another than `method`.
        state_updates: When changed state is kept: `"always"`, in `"training"`, or `"never"`.
        return_sown: Transient collections to return: the layer then returns `(outputs, sown)`.
        losses: Collections whose leaves are summed and added to the losses of the layer.
        seed: Seed of init and calls, `0 <= seed < 2**32`; None for Keras's global seed.
        collections: Roles of collections by name, where the ones found do not fit.
        native_serialization_platforms: What TensorFlow shall run the module on, on the TensorFlow
            backend: some of `"cpu"`, `"cuda"`, `"rocm"` and `"tpu"`; None for the CPU.
        **kwargs: Keyword arguments of `keras.layers.Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        AcceptModuleError: If `module` is none of these.
        InspectMethodError: If it has no such public method.
        CallArgumentError: If the method has no argument `training_arg` or `mask_arg`.
        MatchVariablesError: If `variables` is not a tree of collections.
        DrawKeysError: If `seed` is out of range.
        SelectBackendError: If Keras runs on a backend that is not supported.

    Example:

    ```python
    >>> import flax.linen as nn, jax.numpy as jnp
    >>> from flaxlayer import FlaxLayer
    >>> layer = FlaxLayer(nn.Dense(2), name="dense")
    >>> layer(jnp.ones((1, 3))).shape
    (1, 2)
    >>> [variable.path for variable in layer.weights]
    ['dense/params/bias', 'dense/params/kernel']

    ```
    """

    def __init__(
        self,
        module: Any,
        method: str | Callable[..., Any] | None = None,
        variables: Mapping[str, Any] | None = None,
        *,
        rngs: Sequence[str] | None = None,
        training_arg: str | None = None,
        rng_args: Mapping[str, str] | None = None,
        mask_arg: str | None = AUTO_MASK,
        init_method: str | Callable[..., Any] | None = None,
        state_updates: str = "always",
        return_sown: Sequence[str] = (),
        losses: Sequence[str] = ("losses",),
        seed: int | None = None,
        collections: CollectionPolicy | None = None,
        native_serialization_platforms: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        current_backend()
        flax_module = wrap_module(module)
        settings = Settings(
            method=method,
            rngs=_as_tuple(rngs),
            training_arg=training_arg,
            rng_args=checked_rng_args(rng_args),
            mask_arg=mask_arg,
            init_method=init_method,
            state_updates=state_updates,
            return_sown=tuple(return_sown),
            losses=tuple(losses),
            seed=_checked_seed(seed),
            collections=collections or CollectionPolicy(),
            native_serialization_platforms=_as_tuple(native_serialization_platforms),
            variables=None if variables is None else _with_values(variables),
        )
        call, init_call = settings.method_calls(flax_module)
        super().__init__(**kwargs)
        remember_handed(module, method, init_method)
        self.locks = LayerLocks()
        self._flax_module = flax_module
        self._settings = settings
        self._method_call, self._init_call = call, init_call
        self._announce_mask()
        self._explicit_dtype = kwargs.get("dtype") is not None
        self._revived = False
        self._sharing_token: str | None = None
        self._frozen = FrozenPaths()
        self._weights_by_path: FlaxWeights | None = None
        self._blueprint: BuildSpec | None = None
        self._filled_losses: tuple[str, ...] = ()
        # Drawn as Keras draws it, so that keras.utils.set_random_seed governs it (R3).
        self._seed = random.randint(1, int(1e9)) if seed is None else seed
        self.seed_generator = keras.random.SeedGenerator(self._seed)

    # The module and its settings.

    @property
    def module(self) -> Any:
        """The Flax module, as it was given."""
        return self._flax_module.module

    @property
    def flax_module(self) -> FlaxModule:
        """The module behind core's protocol."""
        return self._flax_module

    @property
    def losses_collections(self) -> tuple[str, ...]:
        """Loss collections that the module really fills (C7)."""
        return self._filled_losses

    @property
    def platforms(self) -> tuple[str, ...]:
        """What TensorFlow runs the module on (K2)."""
        return self._settings.native_serialization_platforms or ("cpu",)

    @property
    def return_sown(self) -> tuple[str, ...]:
        """Transient collections that a call returns (C7)."""
        return self._settings.return_sown

    @property
    def discovery(self) -> ModuleSpec:
        """What abstract evaluation found at build."""
        self.require_built("discovery")
        assert self._blueprint is not None
        return self._blueprint.discovery

    def _source(self) -> FlaxLayer:
        return self

    @property
    def _flax_weights(self) -> FlaxWeights:
        self.require_built("weights")
        assert self._weights_by_path is not None
        return self._weights_by_path

    @property
    def _compute_cast(self) -> str | None:
        # A7: under the plain default policy nothing is cast.
        if self._explicit_dtype or self.dtype_policy.name != keras.config.floatx():
            return str(self.compute_dtype)
        return None

    def require_built(self, what: str) -> None:
        """Raises a `ReadUnbuiltError` if the layer has no weights yet."""
        if self._weights_by_path is None:
            raise ReadUnbuiltError(
                f"Layer {self.name!r} ({self._method_call.label}) is not built: no {what} yet.",
                expected="a layer that was called or built",
                found="a layer without weights",
                fix="Call it on data, or layer.build(input_shape).",
                law="B1",
            )

    def _probe(self, structure: ArgumentStructure) -> ModuleCall:
        remember_arguments(structure)
        given = self._settings.variables
        probe = ModuleCall(
            self._flax_module,
            self._method_call,
            self._init_call,
            structure,
            policy=self._settings.policy,
            rngs=self._settings.rngs,
            given=self._settings.given_form if given is None else given,
            label=f"Layer {self.name!r}",
        )
        return replace(probe, bound=size_bound(probe.title)) if self._revived else probe

    # Randomness.

    def init_rngs(self) -> dict[str, jax.Array]:
        """Returns the keys that init used, so that raw `Module.init` can be run beside it (B2).

        Raises:
            BuildModuleError: If the layer is not built.
        """
        return init_rngs(self._seed, self.discovery.init_streams)

    # Methods.

    def share(self) -> None:
        """Lets configurations tell that another layer uses these weights (S4)."""
        self._sharing_token = self._sharing_token or new_token()

    def method(
        self,
        method: Any,
        *,
        training_arg: str | None = None,
        mask_arg: str | None = AUTO_MASK,
        **kwargs: Any,
    ) -> Any:
        """Returns a second Keras layer that calls another method on the same weights (A3).

        Args:
            method: A name, a bound or unbound method, or a function of the module.
            training_arg: As for `FlaxLayer`.
            mask_arg: As for `FlaxLayer`.
            **kwargs: Keyword arguments of `keras.layers.Layer`.

        Returns:
            A `FlaxMethod` layer.

        Raises:
            InspectMethodError: If the module has no such public method.

        Example:

        ```python
        >>> import flax.linen as nn, jax.numpy as jnp
        >>> from flaxlayer import FlaxLayer
        >>> embed = FlaxLayer(nn.Embed(5, 2))
        >>> attend = embed.method("attend")
        >>> attend(embed(jnp.array([1, 2]))).shape
        (2, 5)

        ```
        """
        return FlaxMethod(self, method, training_arg=training_arg, mask_arg=mask_arg, **kwargs)

    # Saving.

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration: the module's class and fields, and the settings (S1).

        Raises:
            EncodeModuleError: If a field of the module cannot be stored; it names the field.
        """
        own = configuring.layer_config(self)
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FlaxLayer:
        """Makes a layer from `get_config`, or from the configuration of `keras.layers.FlaxLayer`.

        Raises:
            DecodeModuleError: If the configuration is refused; nothing is imported or executed.
        """
        return configuring.layer_from_config(cls, config, base=FlaxLayer)


def _as_tuple(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _with_values(variables: Mapping[str, Any]) -> dict[str, Any]:
    given = normalize_variables(variables)
    absent = [format_path(path) for path, leaf in flatten_with_paths(given)[0] if is_form(leaf)]
    if absent:
        raise refuse_given(
            "FlaxLayer",
            expected=["arrays, which have values"],
            found=[f"{path}: a ShapeDtypeStruct" for path in absent],
            fix="Give the result of `Module.init` itself, not of `jax.eval_shape`.",
        )
    return given


def _checked_seed(seed: Any) -> int | None:
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
