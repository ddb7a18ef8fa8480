"""What a scenario starts with: its case, its layer, and what a call of it may vary (T9)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np

from flaxlayer_testing.oracle.call import is_of_module
from flaxlayer_testing.render.building import module_of
from flaxlayer_testing.scenario.setting_kinds import Drawn
from flaxlayer_testing.spec.extras import Given
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.subject.keras_parts import global_policy
from flaxlayer_testing.subject.subject import Subject

__all__ = ["emptied", "make_layer", "seeded", "vary_given"]


def emptied(case: Case) -> Case:
    """Returns a case with a batch of no rows; the case itself where raw Flax refuses that."""
    empty = replace(case, batch_size=0)
    oracle = Subject.from_case(empty).oracle
    try:
        return empty if oracle.accepts(oracle.raw) else case
    except Exception as error:  # the code of a module may refuse in any way
        if not is_of_module(error):
            raise
        return case


def vary_given(case: Case, number: int) -> tuple[tuple[str, Given], ...]:
    """Returns what a case gives for its extra parameters, a number of choices further on."""
    given, varied = dict(case.given), {}
    for extra in case.spec.extras:
        values = [*extra.kind.values]
        if extra.name in given:
            at = list(map(repr, values)).index(repr(given[extra.name]))
            varied[extra.name] = values[(at + number) % len(values)]
        elif values and number:  # one that may be left out
            varied[extra.name] = values[number % len(values)]
    return tuple(varied.items())


def seeded(drawn: Drawn, number: int) -> Drawn:
    """Returns settings with the seed that Keras's global seed gives, if the layer has none.

    Args:
        drawn: What the settings mean.
        number: The global seed.
    """
    if not drawn.global_seed:
        return drawn
    keras.utils.set_random_seed(number)
    return drawn.meaning(seed=int(np.asarray(keras.random.SeedGenerator().state)[0]))


def make_layer(subject: Subject, drawn: Drawn) -> Any:
    """Makes the layer of a scenario, with the settings that were drawn."""
    assert subject.case is not None
    number, factory = subject.case.seed, subject.layer
    subject = replace(subject, module=module_of(subject.case))
    if drawn.global_seed:
        keras.utils.set_random_seed(number)
        subject = replace(subject, layer=lambda module, seed, **given: factory(module, **given))
    with global_policy(drawn.policy):
        return subject.new_layer(**drawn.arguments)
