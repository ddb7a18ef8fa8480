"""An entry of the zoo of faulty layers: a layer, and what must catch it (T5)."""

from __future__ import annotations

import keras

from conformance.faults.parts import layer_of
from flaxlayer_testing.run.samples import Fault

__all__ = ["FAULTS", "Fault", "fault"]


FAULTS: list[Fault] = []


def fault(check, error, message, **options):
    """Enters a faulty layer, or the layer of a faulty part, with the options of `Fault`."""

    def enter(faulty):
        layer = layer_of(faulty)
        keras.saving.register_keras_serializable("faults")(layer)
        FAULTS.append(Fault(layer, check, error, message, **options))
        return layer

    return enter
