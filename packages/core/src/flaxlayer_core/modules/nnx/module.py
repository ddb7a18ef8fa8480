"""`flax.nnx` modules behind core's module protocol."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax
import jax
from flax import nnx
from flax.core.scope import in_filter
from flax.errors import ModifyScopeVariableError

from flaxlayer_core.compat.private_linen import StreamRecord
from flaxlayer_core.compat.private_nnx import quiet_sow, variable_value
from flaxlayer_core.errors import AcceptModuleError, BuildModuleError
from flaxlayer_core.modules.methods import PublicMethods
from flaxlayer_core.modules.nnx.call_streams import CallStreams, use_fast_counts
from flaxlayer_core.modules.nnx.graph import (
    GraphForm,
    GraphVariable,
    placeholder,
    rng_streams,
    role_of,
)
from flaxlayer_core.modules.nnx.mode_attributes import has_mode, set_modes
from flaxlayer_core.modules.nnx.nnx_factories import (
    abstract_module,
    call_factory,
    class_of,
    init_streams,
)
from flaxlayer_core.modules.nnx.state_trees import by_collection
from flaxlayer_core.modules.protocol import NO_MODES, Modes, Rngs
from flaxlayer_core.trees.collections import Role
from flaxlayer_core.trees.matching import is_form
from flaxlayer_core.trees.paths import Path, flatten_with_paths

__all__ = ["NnxModule"]

_record: contextvars.ContextVar[StreamRecord | None] = contextvars.ContextVar(
    "flaxlayer_nnx_record", default=None
)


class NnxModule:
    """A `flax.nnx` module behind `flaxlayer_core.modules.protocol.FlaxModule`.

    A module that exists keeps its own initial values. A class, or a `functools.partial` of one or
    of another function that makes a module, is called with `rngs=nnx.Rngs(...)` at build. Neither
    is ever changed: a call runs a new object of the same graph.

    Args:
        module: An instance of `nnx.Module`, or what makes one.
        origin: What made the instance, where that was given in its place.

    Raises:
        AcceptModuleError: If it makes no module, or its variables have no names of their own.

    Example:

    ```python
    >>> import functools, jax
    >>> linear = NnxModule(functools.partial(nnx.Linear, 3, 2))
    >>> keys = dict.fromkeys(linear.offered_streams(init=True), jax.random.key(0))
    >>> variables = linear.init(keys, (), {}, method="__call__")
    >>> {name: leaf.shape for name, leaf in variables["params"].items()}
    {'bias': (2,), 'kernel': (3, 2)}

    ```
    """

    def __init__(self, module: Any, *, origin: Any = None) -> None:
        _refuse_old_flax()
        self._module = module
        self._origin = module if origin is None else origin
        self._exists = isinstance(module, nnx.Module)
        self._class = type(module) if self._exists else class_of(module)
        find = self._find_attribute
        self._methods = PublicMethods(self._class, nnx.Module, find, applied=False)
        self._forms: dict[frozenset[Path], GraphForm] = {}
        self._values: dict[Path, Any] = {}
        if self._exists:
            self._values = self._take_apart(module)

    def _take_apart(self, module: nnx.Module) -> dict[Path, Any]:
        form, values = GraphForm.from_module(module)
        self._forms.setdefault(form.paths, form)
        return values

    @property
    def module(self) -> Any:
        """The user's module object, or what makes one."""
        return self._module

    @property
    def origin(self) -> Any:
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
        return has_mode(self._module if self._exists else abstract_module(self._module), name)

    def default_role(self, collection: str) -> Role | None:
        """Returns the role of a collection by the type of its variables, None if it has none."""
        for form in list(self._forms.values()):
            for variable in form.variables:
                if variable.path[0] == collection and variable.variable_type is not None:
                    return role_of(variable.variable_type)
        return None

    def resolve_method(self, method: Any) -> str | Callable[..., Any]:
        """Returns a method as a name or a function, as `PublicMethods.resolve` does (A3)."""
        return self._methods.resolve(method)

    def signature(self, method: str | Callable[..., Any]) -> inspect.Signature:
        """Returns the signature of a method without the module argument."""
        return self._methods.signature(method)

    def decides_argument(self, name: str, method: str | Callable[..., Any] = "__call__") -> bool:
        """Returns False: Keras's flag decides, in whatever mode the module was handed over (A2)."""
        del name, method
        return False

    def fixed_keywords(self, method: str | Callable[..., Any]) -> frozenset[str]:
        """Returns the keyword arguments that a partial method has a value for already (A2)."""
        return self._methods.fixed_keywords(method)

    def _find_attribute(self, name: str) -> Any:
        module = self._module if self._exists else abstract_module(self._module)
        return getattr(module, name, None)

    def init(
        self,
        rngs: Rngs,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        method: str | Callable[..., Any],
        modes: Modes = NO_MODES,
    ) -> dict[str, Any]:
        """Returns the variables of the module, or of one made with these keys (B2)."""
        del args, kwargs, method, modes  # an nnx module knows its shapes by itself
        values, keys = self._values, dict[str, Any](rngs)
        if not self._exists:
            values = self._take_apart(call_factory(self._module, keys))
        # The first: that of the module before a call has made anything.
        form = next(iter(self._forms.values()))
        # An abstract object has forms in the places of values.
        values = {path: placeholder(v) if is_form(v) else v for path, v in values.items()}
        record = _record.get()
        if record is not None:
            record.drawn.update(rngs)
        return form.nest(values, (v for v in form.variables if not v.is_rng))

    def offered_streams(self, *, init: bool) -> tuple[str, ...]:
        """Returns the streams that it may be given, drawn from or not (R1)."""
        if init:
            return () if self._exists else init_streams(self._module)
        variables = (v for form in list(self._forms.values()) for v in form.variables)
        return tuple(sorted({v.stream for v in variables if v.stream is not None}))

    def apply(
        self,
        variables: Mapping[str, Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        method: str | Callable[..., Any],
        rngs: Rngs,
        mutable: Any,
        modes: Modes = NO_MODES,
    ) -> tuple[Any, dict[str, Any]]:
        """Returns the outputs of a call and the collections that it may have changed.

        Streams get their keys as `nnx.reseed(module, policy="match_shape", **rngs)` gives them.
        What a call makes of a `Param` is not kept (C3).
        """
        values = dict(flatten_with_paths(dict(variables))[0])
        module = self._merge(values)
        nodes = [node for _, node in nnx.iter_graph(module)]
        set_modes((node for node in nodes if isinstance(node, nnx.Module)), modes)
        streams = CallStreams((node for node in nodes if isinstance(node, nnx.RngStream)), rngs)
        graph = nnx.graphdef(module)
        function: Any = self._methods.function(method)
        with quiet_sow():
            outputs = function(module, *args, **kwargs)
        _note_draws(streams.drawn, rngs)
        return _plain(outputs), self._updates(module, graph, values, mutable)

    def _merge(self, values: Mapping[Path, Any]) -> Any:
        paths = frozenset(values)
        if paths not in self._forms:
            self._forms[paths] = self._first_form().without(paths)
        form = self._forms[paths]
        own = {path: value for path, value in self._values.items() if not is_form(value)}
        return form.merge(values, own)

    def _updates(
        self, module: Any, graph: Any, before: Mapping[Path, Any], mutable: Any
    ) -> dict[str, Any]:
        form, after = GraphForm.from_module(module)
        if form.paths == frozenset(before) and form.graphdef != graph:
            raise self._changed_graph()
        self._forms.setdefault(form.paths, form)
        kept = []
        for variable in form.variables:
            if variable.is_rng:
                continue
            if in_filter(mutable, variable.path[0]):
                kept.append(variable)
            elif self._changes(variable, before, after):
                *above, name = variable.path[1:]
                raise ModifyScopeVariableError(variable.path[0], name, "/".join(above))
        return form.nest(after, kept)

    def _changes(
        self, variable: GraphVariable, before: Mapping[Path, Any], after: Mapping[Path, Any]
    ) -> bool:
        if variable.is_param and variable.paths[0] in before:
            return False
        return any(after[path] is not before.get(path) for path in variable.paths)

    def _changed_graph(self) -> BuildModuleError:
        return BuildModuleError(
            f"Module {self.class_name} changes an attribute that is no nnx.Variable in a call.",
            expected="calls that change the values of variables only",
            found="another graph after the call than before",
            fix="Keep what a call changes in an nnx.Variable; a compiled call cannot keep it else.",
            law="C2",
        )

    def raw_variables(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the stored tree as it is: a tree of arrays for each collection (W2)."""
        return dict(stored)

    def stored_variables(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a tree, or the state of a module, as it is stored (B4)."""
        return by_collection(raw, self._first_form)

    def _first_form(self) -> GraphForm:
        # That of the module before a call has made anything.
        form = next(iter(self._forms.values()), None)
        return form or GraphForm.from_module(abstract_module(self._module))[0]

    def axis_names(self, variables: Mapping[str, Any]) -> dict[Path, tuple[Any, ...]]:
        """Returns the mesh axes that metadata of the module's variables names, by path (B5)."""
        del variables  # the graph knows
        form = next(iter(self._forms.values()))
        return {p: v.axes for v in form.variables if v.axes is not None for p in v.paths}

    def bind(self, variables: Mapping[str, Any]) -> Any:
        """Returns a new module with these variables, in the modes of the user's own (W2).

        Its random streams are those of the user's object; one that was made from a class has
        streams to `nnx.reseed` before it trains.
        """
        module = self._merge(dict(flatten_with_paths(dict(variables))[0]))
        use_fast_counts(rng_streams(module), quickly=False)
        return module

    @contextlib.contextmanager
    def record_streams(self) -> Iterator[StreamRecord]:
        """Opens a context that records which rng streams the module asks for (R1)."""
        record = StreamRecord()
        token = _record.set(record)
        try:
            yield record
        finally:
            _record.reset(token)

    def call_context(self) -> tuple[Any, ...] | None:
        """Returns nothing: no ambient setting of nnx changes a call."""
        return ()


def _refuse_old_flax() -> None:
    if not hasattr(nnx, "data"):
        raise AcceptModuleError(
            "FlaxLayer cannot take an nnx module with this version of Flax.",
            expected="flax >= 0.11",
            found=f"flax {flax.__version__}",
            fix="pip install 'flax>=0.11'",
        )


def _note_draws(drawn: set[str], rngs: Rngs) -> None:
    record = _record.get()
    if record is not None:
        record.asked |= drawn
        record.replaced |= drawn
        record.drawn |= drawn & set(rngs)


def _plain(outputs: Any) -> Any:
    # A method may return a variable of the module, which lives no longer than the call.
    def value(leaf: Any) -> Any:
        return variable_value(leaf) if isinstance(leaf, nnx.Variable) else leaf

    return jax.tree_util.tree_map(value, outputs, is_leaf=lambda v: isinstance(v, nnx.Variable))
