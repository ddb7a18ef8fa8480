"""The subject of a check: a module, its inputs, and the layer that has to run it (T3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import keras

from flaxlayer import FlaxLayer
from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.oracle.asked_streams import with_asked_streams
from flaxlayer_testing.oracle.call import is_array
from flaxlayer_testing.oracle.key_parameters import KeyParameter
from flaxlayer_testing.oracle.oracle import Oracle
from flaxlayer_testing.oracle.raw_calls import raw_call
from flaxlayer_testing.oracle.roles import TRANSIENT
from flaxlayer_testing.render.building import make_arguments, module_of
from flaxlayer_testing.spec.freedom import grow
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.spec.typing import value_types
from flaxlayer_testing.subject.expectations import Expectations
from flaxlayer_testing.subject.key_rule import key_rule
from flaxlayer_testing.subject.layer import (
    LayerFactory,
    Snapshot,
    arrays_of,
    as_inputs,
    as_symbolic,
)

__all__ = ["Subject"]


@dataclass(frozen=True, eq=False)
class Subject:
    """A module with all that a check of it needs.

    Raw functions and one built layer are shared by the checks of a subject, because compiling them
    is what a check costs; the layer is restored for each.

    Attributes:
        module: An unbound linen module; an nnx module, or what makes one.
        inputs: Positional arguments of its method.
        arguments: Keyword arguments of its method but the training flag.
        seed: Seed of the layer.
        layer: Makes the layer under test: `layer(module, seed=seed, **settings)`.
        training_arg: The training argument where its name is not customary (A2).
        case: The generated case that the subject comes from, if any.
        name: A name for reports; made of the module and its inputs if empty.
        features: What the module stands for in reports.
        command: The shell command that checks it again, if there is one (T8).
        transient: Collections that belong to one call by their name (C2).
        keys: Parameters of the method that get random keys of the layer (R5).
        method: The method that the layer calls (A3).
        init_method: The method that it initialises by, None for the same (A3).
        listed: The streams that its calls get, None for those that they draw from (R1).

    Example:

    ```python
    >>> import flax.linen as nn, numpy as np
    >>> subject = Subject(nn.Dense(2), (np.ones((1, 3), np.float32),))
    >>> sorted(subject.built_layer().flax_variables()["params"])
    ['bias', 'kernel']

    ```
    """

    module: Any
    inputs: tuple[Any, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    layer: LayerFactory = FlaxLayer
    training_arg: str | None = None
    case: Case | None = None
    name: str = ""
    features: tuple[str, ...] = ()
    command: str = ""
    transient: tuple[str, ...] = TRANSIENT
    keys: tuple[KeyParameter, ...] = ()
    method: str = "__call__"
    init_method: str | None = None
    listed: tuple[str, ...] | None = None

    @classmethod
    def from_case(cls, case: Case, *, layer: LayerFactory = FlaxLayer) -> Subject:
        """Returns the subject of a generated case.

        Args:
            case: A spec, a batch size and a seed.
            layer: Makes the layer under test.

        Returns:
            The module of the spec with its inputs.
        """
        value_types(case.spec)  # refuses what is no spec
        inputs, arguments = make_arguments(case)
        filled = (extra.kind for extra in case.spec.extras if extra.kind.stream)
        keys = tuple(KeyParameter(kind.name, kind.stream, kind.as_rngs) for kind in filled)
        module = module_of(case)
        return cls(module, inputs, arguments, case.seed, layer, case=case, keys=keys)

    def with_layer(self, layer: LayerFactory) -> Subject:
        """Returns the same subject for another layer; what raw Flax compiled is shared.

        Args:
            layer: Makes the other layer.

        Returns:
            A subject.
        """
        other = replace(self, layer=layer)
        other.__dict__["oracle"] = self.oracle
        return other

    @cached_property
    def oracle(self) -> Oracle:
        """The module, run by raw Flax."""
        raw = raw_call(
            self.module,
            self.inputs,
            self.arguments,
            self.training_arg,
            keys=self.keys,
            method=self.method,
            init_method=self.init_method or self.method,
            listed=None if self.listed is None else frozenset(self.listed),
        )
        return Oracle(raw if self.case else with_asked_streams(raw), self.transient)

    @cached_property
    def expected(self) -> Expectations:
        """The keys and the initial variables that the layers have to use."""
        return Expectations(self.oracle, key_rule(self.layer), self.seed)

    @property
    def takes_arrays(self) -> bool:
        """Whether the arguments hold arrays, all of them with a batch dimension."""
        arrays = self.oracle.raw.arrays
        return bool(arrays) and all(array.ndim > 0 for array in arrays)

    @property
    def fits_unbuilt(self) -> bool:
        """Whether a `keras.Sequential` can hand the arguments over, and gives the outputs."""
        one = self.takes_arrays and not self.arguments and len(self.inputs) == 1
        if not one or not is_array(self.inputs[0]):
            return False
        # A dataclass is a leaf to Keras.
        return all(leaf is True for leaf in keras.tree.flatten(self.oracle.array_outputs))

    @property
    def fits_sequential(self) -> bool:
        """Whether a `keras.Sequential` takes the arguments as they are, and gives the outputs."""
        if not self.fits_unbuilt:
            return False
        dtype = self.oracle.raw.arrays[0].dtype
        return not jnp.issubdtype(dtype, jnp.floating) or dtype == keras.config.floatx()

    def new_layer(self, *, seed: int | None = None, **settings: Any) -> Any:
        """Returns a new layer that is not built.

        Args:
            seed: Another seed than that of the subject.
            **settings: More arguments for the factory.

        Returns:
            A layer under test.
        """
        number = self.seed if seed is None else seed
        return self.layer(self.module, seed=number, **{**self._names, **settings})

    def unseeded_layer(self) -> Any:
        """Returns a new layer that is given no seed."""
        return self.layer(self.module, **self._names)

    @property
    def _names(self) -> dict[str, Any]:
        """Settings that name the method, its arguments and its streams."""
        streams = {part.name: part.stream for part in self.keys if not part.as_rngs}
        named = {
            "training_arg": self.training_arg,
            "rng_args": streams,
            "method": None if self.method == "__call__" else self.method,
            "init_method": self.init_method,
            "rngs": self.listed,
        }
        return {name: value for name, value in named.items() if value}

    def built_layer(self, **settings: Any) -> Any:
        """Returns a new layer that is built."""
        layer = self.new_layer(**settings)
        self.build(layer)
        return layer

    def build(self, layer: Any) -> None:
        """Builds a layer by a symbolic call, which changes no state.

        A module that cannot be traced is built by a call at inference.

        Args:
            layer: A layer under test.
        """
        if self.oracle.traceable:
            layer(*as_symbolic(self.inputs), **as_symbolic(dict(self.arguments)))
        else:
            self.call(layer, training=False)

    @cached_property
    def _shared(self) -> tuple[Any, Snapshot]:
        layer = self.built_layer()
        return layer, Snapshot(layer)

    def shared_layer(self) -> Any:
        """Returns the layer that all checks share, with the values that it was built with."""
        layer, snapshot = self._shared
        snapshot.restore()
        return layer

    def model(self, layer: Any, other: tuple[Any, ...] | None = None) -> keras.Model:
        """Returns a functional model of a layer alone.

        Its batch size is unknown where the module takes any. Its outputs are the arrays among the
        layer's outputs, as Keras takes no other.

        Args:
            layer: A layer under test.
            other: Positional arguments of other sizes, which become unknown.

        Returns:
            A model from the list of inputs to the list of outputs.
        """
        args, kwargs = self.model_inputs(other)
        return keras.Model(arrays_of((args, kwargs)), arrays_of(layer(*args, **kwargs)))

    def model_inputs(
        self, other: tuple[Any, ...] | None = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns the arguments with a `keras.Input` for each array.

        Args:
            other: Positional arguments of other sizes, which become unknown.
        """
        kwargs = dict(self.arguments)
        args, kwargs = as_inputs(
            (self.inputs, kwargs),
            any_batch=self.oracle.takes_any_batch,
            other=(self.inputs if other is None else other, kwargs),
        )
        return args, kwargs

    @cached_property
    def grown_inputs(self) -> tuple[Any, ...]:
        """Inputs of other sizes that the module takes as well; none where it is not known to."""
        grown = self.case and grow(self.case)
        return make_arguments(grown)[0] if grown else ()

    @property
    def arrays(self) -> list[Any]:
        """The arrays of the arguments, in the order in which `model` takes them."""
        return list(self.oracle.raw.arrays)

    def call(self, layer: Any, *, training: bool) -> Any:
        """Calls a layer on the inputs, and returns its outputs as arrays."""
        backend = current_backend()
        args, kwargs = backend.to_backend((self.inputs, dict(self.arguments)))
        return backend.to_arrays(layer(*args, training=training, **kwargs))
