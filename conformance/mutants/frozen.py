"""What is frozen, and what is not (C5)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, law="C5", kind="frozen")

FREEZING = "flaxlayer/weights/freezing.py"
HOSTED = "flaxlayer/hosted.py"
CHANGE = "self.paths = self.paths | chosen if freeze else self.paths - chosen"

enter(
    "State is written while the layer is frozen",
    HOSTED,
    'if not self.layer.trainable or when == "never"',
    'if when == "never"',
)
enter(
    "State that is frozen by path is written",
    HOSTED,
    "            if not frozen or weights.layout.specs[index].path not in frozen\n",
    "",
)
enter(
    "Params that are frozen by path are trained",
    FREEZING,
    "free = spec.path not in self.paths",
    "free = True",
)
enter(
    "Thawing a layer thaws what is frozen by path",
    "flaxlayer/layer.py",
    "if hosted is not None and hosted.weights is not None:",
    "if hosted is not None and hosted.weights is not None and not value:",
)
enter(
    "Thawing one path thaws all",
    FREEZING,
    CHANGE,
    "self.paths = self.paths | chosen if freeze else set()",
)
enter(
    "Thawing a path of a frozen layer lets all others train",
    "flaxlayer/access.py",
    "hosted.frozen.apply(hosted.weights, trainable=hosted.layer.trainable)",
    "hosted.frozen.apply(hosted.weights, trainable=True)",
)
enter(
    "Thawing before the build freezes",
    FREEZING,
    "self.pending.extend((freeze, pattern) for pattern in patterns)",
    "self.pending.extend((True, pattern) for pattern in patterns)",
)
enter(
    "What is frozen before the build is trained after it",
    "flaxlayer/building.py",
    "        hosted.frozen.apply(weights, trainable=self._layer.trainable)\n",
    "",
)
enter(
    "Integer params train once their layer is thawed",
    FREEZING,
    "variable.trainable = trainable and free and trains(spec, weights.layout)",
    "variable.trainable = trainable and free",
)
