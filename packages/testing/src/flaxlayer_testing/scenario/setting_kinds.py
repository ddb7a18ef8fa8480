"""What a setting of a layer is in a scenario: to the layer, to the laws, in a program (T9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flaxlayer_testing.oracle.model import LawSettings
from flaxlayer_testing.oracle.oracle import Oracle
from flaxlayer_testing.spec.spec import Case, Json
from flaxlayer_testing.subject.subject import Subject

__all__ = ["Drawn", "Setting", "SettingText", "anything", "given_text", "no_text"]


@dataclass(frozen=True)
class Drawn:
    """What settings mean: to the layer, and to the model of the laws.

    Attributes:
        arguments: Keyword arguments of the layer.
        laws: What the model of the laws has to know.
        frozen: Selectors of what is frozen before the build.
        trainable: Whether the layer may change.
        given: Variables that the layer is given, None for none.
        hides_masks: Whether the module gets no mask of Keras.
        policy: The global dtype policy under which the layer is made and called, if any.
        built_late: Whether the first step builds the layer.
        global_seed: Whether the layer has no seed of its own.
        unknown_sizes: Whether sizes beside the batch are unknown to symbolic calls.
    """

    arguments: Mapping[str, Any]
    laws: LawSettings
    frozen: tuple[tuple[str, int], ...] = ()
    trainable: bool = True
    given: Mapping[str, Any] | None = None
    hides_masks: bool = False
    policy: str | None = None
    built_late: bool = False
    global_seed: bool = False
    unknown_sizes: bool = False

    def giving(self, **arguments: Any) -> Drawn:
        """Returns the same with more arguments of the layer."""
        return replace(self, arguments={**self.arguments, **arguments})

    def meaning(self, **laws: Any) -> Drawn:
        """Returns the same with other settings of the laws."""
        return replace(self, laws=replace(self.laws, **laws))


@dataclass(frozen=True)
class SettingText:
    """What a setting is in a program.

    Attributes:
        arguments: The texts of its arguments of the layer, by name.
        before: Lines before the layer is made.
        values: Lines that make of `variables`, which raw init gives, those of the layer.
        end: Lines at the end of the program.
    """

    arguments: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    end: tuple[str, ...] = ()


PrintSetting = Callable[[Drawn, Any, Case], SettingText]
"""`text(drawn, value, case)`: what the settings mean, the value of this one, the case."""


Apply = Callable[[Drawn, Any, Oracle, Case], Drawn]


def _always(oracle: Oracle, case: Case, value: Any) -> bool:
    return True


def anything(case: Case) -> bool:
    """Tells that a setting may be drawn for any case."""
    return True


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        values: What may be drawn, the simplest first.
        apply: What a value means.
        fits: Whether it means something for a module.
        laws: The laws that it is about.
        wants: Whether it is drawn for a case.
        text: What it is in a program.
        call: How the module is called then, where that is not as its case says.
        place: The surrounding in which it shows, if that is one alone.
        only: The framework that alone has it, if one has; empty if each has.
    """

    values: tuple[Json, ...]
    apply: Apply
    fits: Callable[[Oracle, Case, Any], bool] = _always
    laws: tuple[str, ...] = ()
    wants: Callable[[Case], bool] = anything
    text: PrintSetting | None = None
    call: Callable[[Subject, Any], Subject] | None = None
    place: str = ""
    only: str = ""


def given_text(*names: str) -> PrintSetting:
    """Returns what prints arguments of the layer whose `repr` is their text."""

    def text(drawn: Drawn, value: Any, case: Case) -> SettingText:
        return SettingText({name: repr(drawn.arguments[name]) for name in names})

    return text


def no_text(drawn: Drawn, value: Any, case: Case) -> SettingText:
    """Prints nothing: what it means shows in the lines of the steps."""
    return SettingText()
