"""An entry of the zoo of faulty layers: a layer, and what must catch it (T5)."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from flaxlayer import FlaxLayer

__all__ = ["FAULTS", "Fault", "fault"]


@dataclass(frozen=True)
class Fault:
    """A faulty layer; its healthy twin is `FlaxLayer`.

    Attributes:
        layer: The layer.
        check: The name of the check that must catch it.
        error: The name of the error's class.
        message: A part of the error's message.
        budget: The most generated modules that a search may need to find it.
    """

    layer: type[FlaxLayer]
    check: str
    error: str
    message: str
    budget: int


FAULTS: list[Fault] = []


def fault(check, error, message, *, budget=20):
    """Enters a faulty layer into the zoo."""

    def enter(layer):
        keras.saving.register_keras_serializable("faults")(layer)
        FAULTS.append(Fault(layer, check, error, message, budget))
        return layer

    return enter
