"""What differs between the frameworks that the module of a spec can be written in (T1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from flaxlayer_testing.render.source import Writer
from flaxlayer_testing.spec.spec import Case, ModuleSpec

__all__ = ["Dialect"]


class Dialect(Protocol):
    """A framework: how a module of it is written, run and built.

    Attributes:
        imports: The lines that import what each program needs.
        pieces: Functions and classes that texts refer to, by their names.
        has_objects: Whether a module may be an object with values of its own.
        raw: Runs a module by raw Flax in a program; a class whose source the program holds.
    """

    imports: str
    pieces: Mapping[str, Any]
    has_objects: bool
    raw: type[Any]

    def writer(self, spec: ModuleSpec, *, batch_size: int = 2) -> Writer:
        """Returns what writes the class of a spec."""
        ...

    def run_lines(self, case: Case) -> list[str]:
        """Returns the lines of a program that make the module and call it in both modes."""
        ...

    def definitions(self, case: Case) -> list[str]:
        """Returns the texts that define the module of a case so that a layer can store it (S1)."""
        ...

    def module_lines(self, case: Case) -> list[str]:
        """Returns the lines of a program that make the module alone."""
        ...

    def module_of(self, case: Case) -> Any:
        """Returns the module of a case: what a layer is given.

        Raises:
            ReadSpecError: If its spec is not valid, or uses what the framework does not have.
        """
        ...
