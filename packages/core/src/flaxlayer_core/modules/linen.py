"""`flax.linen` modules behind core's module protocol."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TypeVar

import flax.linen as nn
import jax

from flaxlayer_core.compat.private_linen import (
    StreamRecord,
    call_context,
    logical_to_mesh_axes,
    record_streams,
)
from flaxlayer_core.errors import AcceptModuleError
from flaxlayer_core.modules.methods import PublicMethods
from flaxlayer_core.modules.misplaced_values import describe_misplaced
from flaxlayer_core.modules.protocol import NO_MODES, Modes
from flaxlayer_core.modules.repeated_calls import merging_repeats
from flaxlayer_core.trees.collections import normalize_variables
from flaxlayer_core.trees.paths import flatten_with_paths
from flaxlayer_core.trees.roles import Role
from flaxlayer_core.typing import (
    Args,
    Array,
    Kwargs,
    Leaf,
    MeshAxes,
    Method,
    Mutable,
    Path,
    PyTree,
    Rngs,
    Variables,
)

__all__ = ["LinenModule"]

Result = TypeVar("Result")


class LinenModule:
    """A `flax.linen` module behind `flaxlayer_core.modules.protocol.FlaxModule`.

    Args:
        module: An unbound instance of `flax.linen.Module`.
        origin: What made it, where that was given in its place.

    Raises:
        AcceptModuleError: If it is a class, bound, an nnx module, or no module at all.

    Example:

    ```python
    >>> import flax.linen as nn, jax, jax.numpy as jnp
    >>> dense = LinenModule(nn.Dense(2))
    >>> args = (jnp.ones((1, 3)),)
    >>> variables = dense.init({"params": jax.random.key(0)}, args, {}, method="__call__")
    >>> variables["params"]["kernel"].shape
    (3, 2)

    ```
    """

    def __init__(self, module: nn.Module, *, origin: object = None) -> None:
        _accept(module)
        self._module = module
        self._origin = module if origin is None else origin
        find = functools.partial(_find_attribute, module)
        self._methods = PublicMethods(type(module), nn.Module, find, applied=True)

    @property
    def facts(self) -> LinenModule:
        """Itself."""
        return self

    @property
    def module(self) -> nn.Module:
        """The user's module object."""
        return self._module

    @property
    def origin(self) -> object:
        """The user's module object, or what makes it."""
        return self._origin

    @property
    def draws_itself(self) -> bool:
        """False: a linen module has no streams of its own."""
        return False

    @property
    def class_name(self) -> str:
        """The name of its class, for messages."""
        return type(self._module).__name__

    @property
    def has_modes(self) -> bool:
        """False: what tells training from inference are arguments and rngs."""
        return False

    def default_role(self, collection: str) -> Role | None:
        """Returns None: roles go by name and by what calls do."""
        del collection
        return None

    def resolve_method(self, method: object) -> Method:
        """Returns a method as a name or a function, as `PublicMethods.resolve` does (A3)."""
        return self._methods.resolve(method)

    def signature(self, method: Method) -> inspect.Signature:
        """Returns the signature of a method without the module argument."""
        return self._methods.signature(method)

    def decides_argument(self, name: str, method: Method = "__call__") -> bool:
        """Tells whether a field of the module already decides an argument of its method (A2).

        `nn.Dropout(0.5, deterministic=True)` refuses the argument at the call.
        """
        module = self._methods.submodule(method) or self._module
        fields = getattr(type(module), "__dataclass_fields__", {})
        return name in fields and getattr(module, name) is not None

    def fixed_keywords(self, method: Method) -> frozenset[str]:
        """Returns the keyword arguments that a partial method has a value for already (A2)."""
        return self._methods.fixed_keywords(method)

    @property
    def has_own_variables(self) -> bool:
        """False: init makes its variables."""
        return False

    @property
    def valueless(self) -> frozenset[Path]:
        """Nothing: init makes all values."""
        return frozenset()

    def is_mode(self, name: str) -> bool:
        """Returns False: a linen module has no mode of its own."""
        del name
        return False

    def init(
        self,
        rngs: Rngs,
        args: Args,
        kwargs: Kwargs,
        *,
        method: Method,
        modes: Modes = NO_MODES,
    ) -> dict[str, PyTree]:
        """Returns the result of `Module.init` (B2)."""
        del modes  # its arguments say it
        function, kwargs = _keep_apart(self._methods.function(method), kwargs)
        return normalize_variables(self._module.init(dict(rngs), *args, method=function, **kwargs))

    def apply(
        self,
        variables: Variables,
        args: Args,
        kwargs: Kwargs,
        *,
        method: Method,
        rngs: Rngs,
        mutable: Mutable,
        modes: Modes = NO_MODES,
    ) -> tuple[PyTree, dict[str, PyTree]]:
        """Returns the result of `Module.apply` with a mutable filter."""
        del modes  # its arguments say it
        function, kwargs = _keep_apart(self._methods.function(method), kwargs)
        outputs, updates = self._module.apply(
            dict(variables), *args, rngs=dict(rngs), method=function, mutable=mutable, **kwargs
        )
        return outputs, normalize_variables(updates)

    def raw_variables(self, stored: Variables) -> dict[str, PyTree]:
        """Returns the stored tree as it is: it is the one that `Module.apply` takes (W2)."""
        return dict(stored)

    def stored_variables(self, raw: Variables) -> dict[str, PyTree]:
        """Returns the tree as it is."""
        return dict(raw)

    def axis_names(self, variables: Variables) -> dict[Path, MeshAxes]:
        """Returns the mesh axes that boxes name; logical names go through the axis rules (B5)."""
        paths = [path for path, _ in flatten_with_paths(dict(variables))[0]]
        boxes = jax.tree_util.tree_leaves(dict(variables), is_leaf=_is_box)
        names = [_axis_names(box) for box in boxes for _ in jax.tree_util.tree_leaves(box)]
        return {path: axes for path, axes in zip(paths, names, strict=True) if axes is not None}

    def bind(self, variables: Variables) -> nn.Module:
        """Returns the module bound to its variables."""
        return self._module.bind(dict(variables))

    def offered_streams(self, *, init: bool) -> None:
        """Returns None: `has_rng` tells a module which streams it was given."""
        del init

    def extended_by(self, run: Callable[[], Result]) -> tuple[Result, LinenModule]:
        """Returns the result and itself: variables say all that calls made."""
        return run(), self

    def record_streams(self) -> contextlib.AbstractContextManager[StreamRecord]:
        """Opens a context that records which rng streams the module asks for (R1)."""
        return record_streams()

    def merging_repeats(
        self, inputs: Sequence[Array] | None = None, *, depends: bool = False
    ) -> contextlib.AbstractContextManager[object]:
        """Opens a context where equal submodules that are called alike run once (B6).

        Args:
            inputs: The arrays of an init, None where the module is applied.
            depends: Whether it counts what depends on what: then all of them run.
        """
        return contextlib.nullcontext() if depends else merging_repeats(inputs)

    # Asked in each eager call, so without a step between.
    call_context = staticmethod(call_context)


# Arguments of `Module.init` and `Module.apply` themselves.
_TAKEN = frozenset({"capture_intermediates", "method", "mutable", "rngs", "self", "variables"})


def _keep_apart(method: Method, kwargs: Kwargs) -> tuple[Method, Kwargs]:
    if not _TAKEN & kwargs.keys():
        return method, kwargs

    def call(module: nn.Module, /, *args: object) -> object:
        if isinstance(method, str):
            return getattr(module, method)(*args, **kwargs)
        return method(module, *args, **kwargs)

    return call, {}


def _accept(module: object) -> None:
    if isinstance(module, nn.Module):
        if module.scope is None:
            return
        found, fix = "a bound module", "Pass the module that `Module.bind` was called on."
    elif isinstance(module, type) and issubclass(module, nn.Module):
        found, fix = f"the class {module.__name__}", f"Pass an instance: {module.__name__}(...)."
    else:
        found, fix = describe_misplaced(module)
    raise AcceptModuleError(
        "FlaxLayer cannot take this as a module.",
        expected="an unbound instance of flax.linen.Module, or a module of flax.nnx",
        found=found,
        fix=fix,
    )


def _find_attribute(module: nn.Module, name: str) -> object:
    if name in module.__dataclass_fields__:
        return getattr(module, name)
    if type(module).setup is nn.Module.setup and not hasattr(type(module), name):
        return None
    found: list[Leaf] = []

    def look(key: jax.Array) -> None:
        bound = module.bind({}, rngs={"params": key}, mutable=True)
        found.append(getattr(bound, name, None))

    jax.eval_shape(look, jax.random.key(0))  # what `setup` makes is there in a bound module only
    return found[0]


def _is_box(node: object) -> bool:
    return isinstance(node, nn.meta.AxisMetadata)


def _axis_names(box: object) -> MeshAxes | None:
    if isinstance(box, nn.LogicallyPartitioned):
        return tuple(logical_to_mesh_axes(box.names, box.rules) or ())
    return tuple(box.get_partition_spec()) if hasattr(box, "get_partition_spec") else None
