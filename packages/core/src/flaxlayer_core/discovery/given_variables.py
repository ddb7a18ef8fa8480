"""What was given and what init made, put together and applied (B4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import jax

from flaxlayer_core.discovery.dependence import find_touched
from flaxlayer_core.discovery.modes import ModeSearch
from flaxlayer_core.discovery.module_spec import ModuleSpec
from flaxlayer_core.discovery.state_forms import find_late
from flaxlayer_core.errors import MatchVariablesError
from flaxlayer_core.trees.forms import as_form, is_form
from flaxlayer_core.trees.matching import (
    UNKNOWN,
    describe_variable,
    find_misfits,
    match_given,
    refuse_given,
)
from flaxlayer_core.trees.overlays import fill_missing, replace_leaves, subtract_tree
from flaxlayer_core.trees.paths import flatten_with_paths, format_path
from flaxlayer_core.trees.roles import Role
from flaxlayer_core.trees.vacancies import find_vacancies, without_none
from flaxlayer_core.typing import Path, PyTree, Shaped, Variables

__all__ = ["Completion", "holds_tuples"]


@dataclass(frozen=True)
class Completion:
    """Given variables, and the search for how a module is applied to them.

    Attributes:
        modes: The search for the module's modes.
        given: What was given, in the form in which the search takes variables.
    """

    modes: ModeSearch
    given: Variables

    @classmethod
    def from_modes(cls, modes: ModeSearch) -> Completion:
        """Takes what was given from the call."""
        tree = modes.trial.call.given_tree()
        if modes.trial.abstract:
            return cls(modes, as_form(tree))
        return cls(modes, jax.tree_util.tree_map(_with_values, tree))

    def fill(self, made: Variables) -> dict[str, PyTree]:
        """Returns what init made with all that was given in it, of whatever shape."""
        variables = replace_leaves(made, match_given(made, self.given)[0])
        if self.modes.trial.call.flax_module.facts.has_own_variables:
            return variables
        return fill_missing(variables, subtract_tree(without_none(self.given), made))

    def plan(self, variables: Variables, init_streams: tuple[str, ...]) -> ModuleSpec:
        """Returns how the module is applied to variables, with its late state.

        A given collection that passes by (C2) is stored all the same where a call reads it.
        """
        found = self.modes.run(variables, init_streams)
        own = self.modes.trial.call.flax_module.facts.has_own_variables
        # What init makes of a module with variables of its own was given with it.
        held = variables if own else self.given
        passing = {
            name for name in held if name in variables and found.layout.role(name) is Role.TRANSIENT
        }
        read = self._read(found, variables, passing) if passing else frozenset()
        if read:
            found = replace(self.modes, kept=read).run(variables, init_streams)
        return replace(found, late=find_late(self.modes.trial.call, found))

    def unplaced(self, found: ModuleSpec, made: Variables) -> dict[Path, str]:
        """Returns what was given and has no place in what init and the call know, with a text."""
        vacancies = find_vacancies(fill_missing(made, found.late), self.given)
        unknown = [*self._unknown(found, made), *vacancies.unknown]
        return {**vacancies.emptied, **dict.fromkeys(unknown, UNKNOWN)}

    def _unknown(self, found: ModuleSpec, made: Variables) -> list[Path]:
        late = {path for path, _ in flatten_with_paths(dict(found.late))[0]}
        unknown = [
            path
            for path in match_given(made, self.given)[1]
            if path not in late and not self._is_record(path[0])
        ]
        stored = dict(flatten_with_paths(dict(found.variables))[0])
        asked = [path for path in unknown if path in stored]
        if not asked or not self.modes.trial.abstract:
            return unknown
        touched = self._touched(found, found.variables, asked)
        return [path for path in unknown if path not in touched]

    def _is_record(self, collection: str) -> bool:
        # C2: what another call sowed.
        passes = self.modes.named_role(collection) is Role.TRANSIENT
        return passes and holds_tuples(self.given[collection])

    def refuse(
        self,
        made: Variables,
        *,
        only: Role | None = None,
        unplaced: Mapping[Path, str] | None = None,
    ) -> MatchVariablesError | None:
        """Returns the error for what does not fit, None if nothing differs.

        Args:
            made: What init made.
            only: The role whose shapes count, None for all.
            unplaced: What has no place in what init and the call know; None for all that has none
                in what init made.
        """
        known, others = match_given(made, self.given)
        role = self.modes.named_role
        misfits = {
            path: problem
            for path, problem in find_misfits(made, known).items()
            if only is None or role(path[0]) is only
        }
        wanted = dict(flatten_with_paths(dict(made))[0])
        absent = [p for p in wanted if p not in known and role(p[0]) is not Role.TRANSIENT]
        if unplaced is None:
            own = self.modes.trial.call.flax_module.facts.has_own_variables
            unknown = [path for path in others if not self._is_record(path[0])]
            vacancies = find_vacancies(made, self.given)
            unknown = [*unknown, *vacancies.unknown] if absent or own else []
            unplaced = {**vacancies.emptied, **dict.fromkeys(unknown, UNKNOWN)}
        problems = {**misfits, **unplaced}
        if not problems:
            return None
        return refuse_given(
            self.modes.trial.call.title,
            expected=[describe_variable(path, wanted[path]) for path in misfits],
            found=[f"{format_path(path)}: {problems[path]}" for path in sorted(problems)],
            missing=[describe_variable(path, wanted[path]) for path in absent],
        )

    def _read(self, found: ModuleSpec, variables: Variables, passing: set[str]) -> frozenset[str]:
        if not self.modes.trial.abstract:
            return frozenset(name for name in passing if not holds_tuples(variables[name]))
        kept = {n: t for n, t in variables.items() if n in passing or n in found.variables}
        paths = [path for path, _ in flatten_with_paths(kept)[0] if path[0] in passing]
        try:
            touched = self._touched(found, kept, paths, apart=frozenset(passing))
        except Exception:  # in any way: a call that fails on it reads it
            return frozenset(passing)
        return frozenset(path[0] for path in touched)

    def _touched(
        self,
        found: ModuleSpec,
        variables: Variables,
        paths: Sequence[Path],
        apart: frozenset[str] = frozenset(),
    ) -> set[Path]:
        call, arrays = self.modes.trial.call, self.modes.trial.arrays
        return {
            path
            for plan in (found.training, found.inference)
            if plan.applied
            for path in find_touched(call, plan, variables, paths, arrays, apart=apart)
        }


def holds_tuples(tree: PyTree) -> bool:
    """Tells whether a collection holds what `sow` makes by default.

    Example:

    ```python
    >>> holds_tuples({"Dense_0": {"y": (1.0,)}}), holds_tuples({"Dense_0": {"y": 1.0}})
    (True, False)

    ```
    """
    # Without an application to tell, a tuple is what would grow.
    if isinstance(tree, Mapping):
        return any(map(holds_tuples, tree.values()))
    return type(tree) is tuple


def _with_values(leaf: Shaped) -> Shaped:
    return jax.numpy.zeros(leaf.shape, leaf.dtype) if is_form(leaf) else leaf
