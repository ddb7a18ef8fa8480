"""The forms that an nnx module is known in: as it is made, and with the state that calls make."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterable, Iterator, Sequence

from flaxlayer_core.ambient import holding
from flaxlayer_core.errors import MatchVariablesError
from flaxlayer_core.message_lists import list_some
from flaxlayer_core.modules.nnx.graph import GraphForm
from flaxlayer_core.modules.nnx.graph_variables import GraphVariable
from flaxlayer_core.trees.paths import format_path
from flaxlayer_core.typing import Path

__all__ = ["GraphForms", "note_form", "recorded_forms"]

_made: contextvars.ContextVar[list[GraphForm] | None] = contextvars.ContextVar(
    "flaxlayer_nnx_forms", default=None
)


@contextlib.contextmanager
def recorded_forms() -> Iterator[list[GraphForm]]:
    """Opens a context that lists the forms that calls leave modules in."""
    made: list[GraphForm] = []
    with holding(_made, made):
        yield made


def note_form(form: GraphForm) -> None:
    """Lists a form that a call left a module in, where a context asks for it."""
    made = _made.get()
    if made is not None:
        made.append(form)


class GraphForms:
    """Forms of one module.

    Args:
        known: That of the module before any call, then others.
        title: The module as messages name it.
    """

    def __init__(self, known: Sequence[GraphForm], title: str) -> None:
        self._known, self._title = tuple(known), title
        # A memo: what stands here follows from what is known.
        self._by_paths = {form.paths: form for form in reversed(self._known)}

    @property
    def first(self) -> GraphForm:
        """That of the module before a call has made anything."""
        return self._known[0]

    @property
    def variables(self) -> Iterator[GraphVariable]:
        """The variables of all forms, again where several have them."""
        return (variable for form in self._known for variable in form.variables)

    def extended(self, made: Iterable[GraphForm]) -> GraphForms:
        """Returns these forms and others; itself where there are no others."""
        further: dict[frozenset[Path], GraphForm] = {}
        for form in made:
            if form.paths not in self._by_paths:
                further.setdefault(form.paths, form)
        return GraphForms((*self._known, *further.values()), self._title) if further else self

    def fitting(self, paths: frozenset[Path]) -> GraphForm:
        """Returns the form of the module that has just these variables.

        Args:
            paths: Paths of their arrays.

        Raises:
            MatchVariablesError: If no form has a place for one of them.
        """
        if paths not in self._by_paths:
            self._by_paths[paths] = self._made_to_fit(paths)
        return self._by_paths[paths]

    def _made_to_fit(self, paths: frozenset[Path]) -> GraphForm:
        form = self.first
        for other in self._known[1:]:
            if paths & other.paths - form.paths:
                form = form.joined(other)
        if absent := sorted(paths - form.paths):
            raise self._refusal(absent)
        return form.without(paths)

    def _refusal(self, absent: Sequence[Path]) -> MatchVariablesError:
        return MatchVariablesError(
            f"Module {self._title} has no place for some of these variables.",
            expected="variables that its constructor makes, or calls that it was built with",
            found=list_some(map(format_path, absent), ", ", most=5, longest=200),
            fix="Give variables of this module alone.",
            law="C2",
        )
