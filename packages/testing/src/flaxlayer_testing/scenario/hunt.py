"""Searches generated scenarios for one in which a layer breaks a law (T9)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from flaxlayer import FlaxLayer
from flaxlayer_testing.errors import KeepLawError, ReadRecordError, in_short
from flaxlayer_testing.scenario.course import Trace, run_scenario
from flaxlayer_testing.scenario.drawn_scenarios import scenarios
from flaxlayer_testing.scenario.scenario import Scenario
from flaxlayer_testing.spec.spec import Framework
from flaxlayer_testing.stored import mapping, parse, read, text
from flaxlayer_testing.subject.layer import LayerFactory

__all__ = ["BrokenLaw", "Hunt", "search_scenarios"]

# A draw that repeats an earlier one is thrown away, so more are drawn than are run.
_DRAWS = 4


@dataclass(frozen=True)
class BrokenLaw:
    """A scenario in which a layer breaks a law, as it is saved and replayed.

    Attributes:
        scenario: The scenario.
        message: What broke.
    """

    scenario: Scenario
    message: str

    def save(self, path: Path) -> None:
        """Writes it into a JSON file, and makes its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = json.loads(self.scenario.to_json())
        data = {"format": 1, "scenario": stored, "message": self.message}
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> BrokenLaw:
        """Reads what `save` wrote.

        Raises:
            ReadRecordError: If it holds no scenario.
        """
        try:
            data = mapping(parse(read(path)))
            return cls(Scenario.from_data(data["scenario"]), text(data["message"]))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ReadRecordError(
                f"{path} holds no scenario to replay.",
                expected="a file that a search of scenarios saved",
                found=in_short(error),
                fix="Name that file.",
                law="T9",
            ) from error


@dataclass
class Hunt:
    """A search: its cases, and what took place in them.

    Attributes:
        layer: Makes the layer under test.
        budget: The most distinct scenarios to run.
        seen: The distinct scenarios that were drawn.
        run: How many of them ran before the first failure, that one included.
        counts: How often each setting, surrounding and step took place.
        found: The failure, the smallest one after shrinking.
        attempts: How many smaller scenarios may still be tried.
        tell: Is told each scenario before it runs.
    """

    layer: LayerFactory
    budget: int
    seen: set[Scenario] = field(default_factory=set)
    run: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    found: BrokenLaw | None = None
    attempts: int = 60
    tell: Callable[[Scenario], None] = lambda scenario: None

    def __call__(self, scenario: Scenario) -> None:
        """Runs a scenario, unless it was run before."""
        if self.found is None:
            if scenario in self.seen or self.run >= self.budget:
                return
            self.seen.add(scenario)
            self.run += 1
            self.tell(scenario)
        elif scenario != self.found.scenario:
            if not self.attempts:
                return  # small enough
            self.attempts -= 1
        try:
            trace = run_scenario(scenario, self.layer)
        except KeepLawError as error:
            self.found = BrokenLaw(scenario, str(error))
            raise
        if self.found is None:
            self._count(trace)

    def _count(self, trace: Trace) -> None:
        self.counts.update({f"setting {name}" for name in trace.settings})
        self.counts.update({f"step {name}" for name in trace.steps})
        self.counts[f"surrounding {trace.surrounding}"] += 1


def search_scenarios(
    *,
    budget: int = 100,
    seed: int = 0,
    layer: LayerFactory = FlaxLayer,
    framework: Framework = "linen",
    shrink: bool = True,
    tell: Callable[[Scenario], None] = lambda scenario: None,
) -> Hunt:
    """Runs generated scenarios until a layer breaks a law in one, and shrinks that one.

    Args:
        budget: The most distinct scenarios to run.
        seed: The same scenarios for the same seed.
        layer: Makes the layer under test.
        framework: What the modules are of: `"linen"` or `"nnx"`.
        shrink: Whether the first failure is made smaller.
        tell: Is told each scenario before it runs.

    Returns:
        What was run, and the failure if there is one.

    Example:

    ```python
    >>> search_scenarios(budget=2).found is None
    True

    ```
    """
    hunt = Hunt(layer, budget, tell=tell)
    phases = [Phase.generate, *([Phase.shrink] if shrink else [])]
    quiet: dict[str, Any] = {"database": None, "deadline": None, "print_blob": False}
    quiet["report_multiple_bugs"] = False

    @seeded(seed)
    @settings(
        max_examples=_DRAWS * budget,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        **quiet,
    )
    @given(scenarios(framework=framework))
    def run(scenario: Scenario) -> None:
        hunt(scenario)

    try:
        run()
    except KeepLawError:
        return hunt
    return hunt
