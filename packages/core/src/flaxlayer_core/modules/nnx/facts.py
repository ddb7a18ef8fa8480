"""What an nnx module is, before it runs."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Sequence

import flax
from flax import nnx

from flaxlayer_core.errors import AcceptModuleError
from flaxlayer_core.modules.methods import PublicMethods
from flaxlayer_core.modules.nnx.graph import GraphForm
from flaxlayer_core.modules.nnx.graph_forms import GraphForms
from flaxlayer_core.modules.nnx.graph_variables import role_of
from flaxlayer_core.modules.nnx.mode_attributes import has_mode
from flaxlayer_core.modules.nnx.module_factory import init_streams
from flaxlayer_core.modules.nnx.nnx_factories import abstract_module, class_of, describe_made
from flaxlayer_core.modules.nnx.shared_traces import merging_repeats
from flaxlayer_core.trees.forms import is_form
from flaxlayer_core.trees.roles import Role
from flaxlayer_core.typing import Array, Leaf, MeshAxes, Method, Path, Variables

__all__ = ["NnxFacts"]


class NnxFacts:
    """A `flax.nnx` module behind `flaxlayer_core.modules.protocol.ModuleFacts`.

    Args:
        module: An instance of `nnx.Module`, or what makes one.
        origin: What made the instance, where that was given in its place.

    Raises:
        AcceptModuleError: If it makes no module, or its variables have no names of their own.
    """

    def __init__(self, module: Leaf, *, origin: object = None) -> None:
        _refuse_old_flax()
        self._module = module
        self._origin = module if origin is None else origin
        self._exists = isinstance(module, nnx.Module)
        self._class = type(module) if self._exists else class_of(module)
        find = self._find_attribute
        self._methods = PublicMethods(self._class, nnx.Module, find, applied=False)
        self._values: dict[Path, Array] = {}
        if self._exists:
            form, self._values = GraphForm.from_module(module)
            self._forms = GraphForms((form,), self.class_name)

    @functools.cached_property
    def _described(self) -> nnx.Module:
        return self._module if self._exists else abstract_module(self._module)

    @functools.cached_property
    def _forms(self) -> GraphForms:
        # Of a module that does not exist yet, as it is made, whatever it is made with. In an
        # abstract object Flax finds only those arrays that stand in variables.
        form = describe_made(self._module, lambda module: GraphForm.from_module(module)[0])
        return GraphForms((form,), self.class_name)

    def _know_form(self, form: GraphForm) -> None:
        # It need not be made once more to be described: its form is the same whatever its keys are.
        self.__dict__.setdefault("_forms", GraphForms((form,), self.class_name))

    @property
    def module(self) -> object:
        """The user's module object, or what makes one."""
        return self._module

    @property
    def origin(self) -> object:
        """The user's module object, or what makes it."""
        return self._origin

    @property
    def draws_itself(self) -> bool:
        """Whether it is a layer of Flax with streams of its own, which arguments replace (R5)."""
        of_flax = self._class.__module__.startswith("flax.")
        return of_flax and (not self._exists or bool(self.offered_streams(init=False)))

    @property
    def class_name(self) -> str:
        """The name of its class, for messages."""
        return self._class.__name__

    @property
    def has_modes(self) -> bool:
        """True: attributes of the module tell training from inference (A2)."""
        return True

    @property
    def has_own_variables(self) -> bool:
        """True: they are attributes."""
        return True

    @property
    def valueless(self) -> frozenset[Path]:
        """Paths of an abstract object, as `nnx.eval_shape` makes it."""
        return frozenset(p for p, leaf in self._values.items() if is_form(leaf))

    def is_mode(self, name: str) -> bool:
        """Tells whether an attribute of the module may be set to tell the mode (A2)."""
        return has_mode(self._described, name)

    def default_role(self, collection: str) -> Role | None:
        """Returns the role of a collection by the type of its variables, None if it has none."""
        for variable in self._forms.variables:
            if variable.path[0] == collection and variable.variable_type is not None:
                return role_of(variable.variable_type)
        return None

    def resolve_method(self, method: object) -> Method:
        """Returns a method as a name or a function, as `PublicMethods.resolve` does (A3)."""
        return self._methods.resolve(method)

    def signature(self, method: Method) -> inspect.Signature:
        """Returns the signature of a method without the module argument."""
        return self._methods.signature(method)

    def decides_argument(self, name: str, method: Method = "__call__") -> bool:
        """Returns False: Keras's flag decides, in whatever mode the module was handed over (A2)."""
        del name, method
        return False

    def fixed_keywords(self, method: Method) -> frozenset[str]:
        """Returns the keyword arguments that a partial method has a value for already (A2)."""
        return self._methods.fixed_keywords(method)

    def _find_attribute(self, name: str) -> object:
        return getattr(self._described, name, None)

    def merging_repeats(
        self, inputs: Sequence[Array] | None = None, *, depends: bool = False
    ) -> contextlib.AbstractContextManager[object]:
        """Opens a context where equal modules that are called alike share a trace (B6).

        Args:
            inputs: The arrays of an init, in which no module is called.
            depends: Whether it counts what depends on what, which a shared trace tells too.
        """
        del depends
        return contextlib.nullcontext() if inputs is not None else merging_repeats()

    def offered_streams(self, *, init: bool) -> tuple[str, ...]:
        """Returns the streams that it may be given, drawn from or not (R1)."""
        if init:
            return () if self._exists else init_streams(self._module)
        streams = {variable.stream for variable in self._forms.variables}
        return tuple(sorted(stream for stream in streams if stream is not None))

    def axis_names(self, variables: Variables) -> dict[Path, MeshAxes]:
        """Returns the mesh axes that metadata of the module's variables names, by path (B5)."""
        del variables  # the graph knows
        form = self._forms.first
        return {p: v.axes for v in form.variables if v.axes is not None for p in v.paths}


def _refuse_old_flax() -> None:
    if not hasattr(nnx, "data"):
        raise AcceptModuleError(
            "FlaxLayer cannot take an nnx module with this version of Flax.",
            expected="flax >= 0.11",
            found=f"flax {flax.__version__}",
            fix="pip install 'flax>=0.11'",
        )
