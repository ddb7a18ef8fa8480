"""`flax.nnx` modules behind core's module protocol."""

from __future__ import annotations

import contextlib
import contextvars
import copy
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import jax
from flax import nnx
from flax.errors import ModifyScopeVariableError

from flaxlayer_core.ambient import holding
from flaxlayer_core.compat.private_linen import StreamRecord, call_context, in_filter
from flaxlayer_core.compat.private_nnx import quiet_sow, use_fast_counts, variable_value
from flaxlayer_core.errors import BuildModuleError
from flaxlayer_core.modules.nnx.call_streams import CallStreams
from flaxlayer_core.modules.nnx.facts import NnxFacts
from flaxlayer_core.modules.nnx.graph import GraphForm, rng_streams
from flaxlayer_core.modules.nnx.graph_forms import note_form, recorded_forms
from flaxlayer_core.modules.nnx.graph_variables import GraphVariable
from flaxlayer_core.modules.nnx.mode_attributes import set_modes
from flaxlayer_core.modules.nnx.nnx_factories import call_factory
from flaxlayer_core.modules.nnx.shared_traces import sharing_traces
from flaxlayer_core.modules.nnx.state_trees import by_collection
from flaxlayer_core.modules.protocol import NO_MODES, Modes
from flaxlayer_core.trees.forms import is_form
from flaxlayer_core.trees.paths import flatten_with_paths
from flaxlayer_core.trees.variable_layout import placeholder
from flaxlayer_core.typing import (
    Args,
    Array,
    Kwargs,
    Method,
    Mutable,
    Path,
    PyTree,
    Rngs,
    Shaped,
    Variables,
)

__all__ = ["NnxModule"]

_record: contextvars.ContextVar[StreamRecord | None] = contextvars.ContextVar(
    "flaxlayer_nnx_record", default=None
)

Result = TypeVar("Result")


class NnxModule(NnxFacts):
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

    @property
    def facts(self) -> NnxFacts:
        """Itself."""
        return self

    def init(
        self,
        rngs: Rngs,
        args: Args,
        kwargs: Kwargs,
        *,
        method: Method,
        modes: Modes = NO_MODES,
    ) -> dict[str, PyTree]:
        """Returns the variables of the module, or of one made with these keys (B2)."""
        del args, kwargs, method, modes  # an nnx module knows its shapes by itself
        if self._exists:
            form, values = self._forms.first, self._values
        else:  # S3: by these keys alone, which are abstract before its sizes are checked
            form, values = GraphForm.from_module(call_factory(self._module, rngs))
            self._know_form(form)
        # An abstract object has forms in the places of values.
        values = {path: placeholder(v) if is_form(v) else v for path, v in values.items()}
        record = _record.get()
        if record is not None:
            record.drawn.update(rngs)
        return form.nest(values, (v for v in form.variables if not v.is_rng))

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
        """Returns the outputs of a call and the collections that it may have changed.

        Streams get their keys as `nnx.reseed(module, policy="match_shape", **rngs)` gives them.
        What a call makes of a `Param` is not kept (C3).
        """
        values = dict(flatten_with_paths(dict(variables))[0])
        module, form = self._merge(values)
        nodes = form.nodes_of(module)
        set_modes((node for node in nodes if isinstance(node, nnx.Module)), modes)
        streams = CallStreams((node for node in nodes if isinstance(node, nnx.RngStream)), rngs)
        graph = nnx.graphdef(module)
        function = self._methods.function(method)
        assert not isinstance(function, str)  # it is called on a module
        inner = (node for node in nodes if isinstance(node, nnx.Module) and node is not module)
        with quiet_sow(), sharing_traces(inner):
            outputs = function(module, *args, **kwargs)
        _note_draws(streams.drawn, rngs)
        form, after = GraphForm.from_module(module, like=form)
        if form.paths == frozenset(values) and form.graphdef != graph:
            raise self._changed_graph()
        return _plain(outputs), self._updates(form, values, after, mutable)

    def _merge(self, values: Mapping[Path, Shaped]) -> tuple[nnx.Module, GraphForm]:
        form = self._forms.fitting(frozenset(values))
        own = {path: value for path, value in self._values.items() if not is_form(value)}
        return form.merge(values, own), form

    def _updates(
        self,
        form: GraphForm,
        before: Mapping[Path, Shaped],
        after: Mapping[Path, Shaped],
        mutable: Mutable,
    ) -> dict[str, PyTree]:
        note_form(form)
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
        self, variable: GraphVariable, before: Mapping[Path, Shaped], after: Mapping[Path, Shaped]
    ) -> bool:
        if not variable.paths:  # it has no value
            return False
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

    def raw_variables(self, stored: Variables) -> dict[str, PyTree]:
        """Returns the stored tree as it is: a tree of arrays for each collection (W2)."""
        return dict(stored)

    def stored_variables(self, raw: Variables) -> dict[str, PyTree]:
        """Returns a tree, or the state of a module, as it is stored (B4)."""
        return by_collection(raw, lambda: self._forms.first)

    def bind(self, variables: Variables) -> nnx.Module:
        """Returns a new module with these variables, in the modes of the user's own (W2).

        Its random streams are those of the user's object; one that was made from a class has
        streams to `nnx.reseed` before it trains.
        """
        module, _ = self._merge(dict(flatten_with_paths(dict(variables))[0]))
        use_fast_counts(rng_streams(module), quickly=False)
        return module

    def extended_by(self, run: Callable[[], Result]) -> tuple[Result, NnxModule]:
        """Returns the result of calls, and the module that runs on the state that they made."""
        with recorded_forms() as made:
            result = run()
        forms = self._forms.extended(made)
        if forms is self._forms:
            return result, self
        extended = copy.copy(self)
        extended._forms = forms
        return result, extended

    @contextlib.contextmanager
    def record_streams(self) -> Iterator[StreamRecord]:
        """Opens a context that records which rng streams the module asks for (R1)."""
        with holding(_record, StreamRecord()) as record:
            yield record

    def call_context(self) -> tuple[object, ...] | None:
        """Returns what linen returns: axis rules are shared, and nnx may hold modules of linen."""
        return call_context()


def _note_draws(drawn: set[str], rngs: Rngs) -> None:
    record = _record.get()
    if record is not None:
        record.asked |= drawn
        record.replaced |= drawn
        record.drawn |= drawn & set(rngs)


def _plain(outputs: PyTree) -> PyTree:
    # A method may return a variable of the module, which lives no longer than the call.
    def value(leaf: object) -> Array:
        return variable_value(leaf) if isinstance(leaf, nnx.Variable) else leaf

    return jax.tree_util.tree_map(value, outputs, is_leaf=lambda v: isinstance(v, nnx.Variable))
