"""A scenario as data: it shrinks, prints, serialises and replays (T9)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flaxlayer_testing.errors import ReadSpecError, in_short
from flaxlayer_testing.spec.spec import Case, Json
from flaxlayer_testing.stored import mapping, parse, text

__all__ = ["Options", "Scenario", "Step"]

Options = tuple[tuple[str, Json], ...]
"""Options of a step, or settings of a layer, sorted by name."""

MAX_STEPS = 64


@dataclass(frozen=True)
class Step:
    """One thing that a user does with a layer.

    Attributes:
        kind: The name of a step in `flaxlayer_testing.scenario.steps.STEPS`.
        options: Its options.
    """

    kind: str
    options: Options = ()

    @property
    def given(self) -> dict[str, Any]:
        """The options by name."""
        return dict(self.options)

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options)
        return f"{self.kind}({options})"


@dataclass(frozen=True)
class Scenario:
    """A module with all that a user does with it.

    Attributes:
        case: The module, with its batch and its seed.
        settings: The settings of the layer, of
            `flaxlayer_testing.scenario.layer_settings.SETTINGS`.
        surrounding: Where the layer stands, of
            `flaxlayer_testing.scenario.places.SURROUNDINGS`.
        steps: What is done, one after the other.

    Example:

    ```python
    >>> from flaxlayer_testing.spec.spec import ModuleSpec, Node, ValueType
    >>> dense = Node("dense", (0,), (("features", 2),))
    >>> case = Case(ModuleSpec((ValueType((3,)),), (dense,), (1,)))
    >>> scenario = Scenario(case, steps=(Step("call", (("training", False),)),))
    >>> Scenario.from_json(scenario.to_json()) == scenario
    True

    ```
    """

    case: Case
    settings: Options = ()
    surrounding: str = "alone"
    steps: tuple[Step, ...] = field(default=())

    def to_json(self) -> str:
        """Returns the scenario as JSON, the same text for equal ones."""
        data = {
            "case": json.loads(self.case.to_json()),
            "settings": dict(self.settings),
            "surrounding": self.surrounding,
            "steps": [[step.kind, dict(step.options)] for step in self.steps],
        }
        return json.dumps(data, separators=(",", ":"))

    def in_words(self, where: str = "") -> str:
        """Returns what happens, a line for each step.

        Args:
            where: What to mark the end with, such as the step that fails.
        """
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings) or "no settings"
        lines = [f"A layer with {settings}, in the surrounding {self.surrounding!r}:"]
        lines += [f"  {number}. {step}" for number, step in enumerate(self.steps, 1)]
        return "\n".join([*lines, *([f"It fails at: {where}"] if where else [])])

    @classmethod
    def from_json(cls, written: str) -> Scenario:
        """Reads what `to_json` wrote.

        Raises:
            ReadSpecError: If the text is not JSON of a scenario.
        """
        return cls.from_data(_parsed(written))

    @classmethod
    def from_data(cls, data: Any) -> Scenario:
        """Reads what `to_json` wrote, as the values of its JSON.

        Raises:
            ReadSpecError: If they are not those of a scenario.
        """
        try:
            stored = mapping(data)
            steps = stored["steps"]
            if not isinstance(steps, list) or len(steps) > MAX_STEPS:
                message = f"no list of at most {MAX_STEPS} steps"
                raise ValueError(message)
            return cls(
                Case.from_data(stored["case"]),
                _options(stored["settings"]),
                text(stored["surrounding"]),
                tuple(Step(text(kind), _options(options)) for kind, options in steps),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _refused(error) from error


def _parsed(written: str) -> Any:
    try:
        return parse(written)
    except (TypeError, ValueError, RecursionError) as error:
        raise _refused(error) from error


def _refused(error: Exception) -> ReadSpecError:
    return ReadSpecError(
        "The text is not the JSON of a scenario.",
        expected="what `to_json` writes",
        found=in_short(error),
        fix="Pass the whole text that `to_json` returned.",
        law="T9",
    )


def _options(stored: Mapping[str, Any]) -> Options:
    return tuple(sorted((text(name), _value(value)) for name, value in mapping(stored).items()))


def _value(value: Any) -> Json:
    if isinstance(value, list):
        return tuple(map(_value, value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    message = f"no value of an option: {type(value).__name__}"
    raise TypeError(message)
