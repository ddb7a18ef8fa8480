"""The training flag on its way to the method (A2)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, law="A2", kind="training")

SIGNATURES = "flaxlayer_core/modules/signatures.py"
BIND = "            if name not in named and name not in kwargs:\n"

enter(
    "Negated flags get the flag as it is",
    SIGNATURES,
    "completed[name] = training != negated",
    "completed[name] = training",
)
enter(
    "The argument use_running_average gets no flag",
    SIGNATURES,
    'NEGATED_FLAGS = ("deterministic", "eval", "use_running_average")',
    'NEGATED_FLAGS = ("deterministic", "eval")',
)
enter(
    "The argument eval gets no flag",
    SIGNATURES,
    'NEGATED_FLAGS = ("deterministic", "eval", "use_running_average")',
    'NEGATED_FLAGS = ("deterministic", "use_running_average")',
)
enter(
    "The argument is_training gets no flag",
    SIGNATURES,
    'TRAINING_FLAGS = ("training", "train", "is_training")',
    'TRAINING_FLAGS = ("training", "train")',
)
enter(
    "A flag that has a default keeps it",
    SIGNATURES,
    "if parameter.default is None and facts.decides_argument(name, method):",
    "if parameter.default in (True, False):",
)
enter(
    "A flag by keyword only gets nothing",
    SIGNATURES,
    "parameter.kind is parameter.POSITIONAL_ONLY or name in fixed",
    "parameter.kind is not parameter.POSITIONAL_OR_KEYWORD or name in fixed",
)
enter(
    "Keras's flag wins over a keyword of the caller",
    SIGNATURES,
    BIND,
    "            if name not in named or name in kwargs:\n",
)
enter(
    "Only the first of several flags gets its value",
    SIGNATURES,
    "        for name, negated in self.flags:\n            if name not in named",
    "        for name, negated in self.flags[:1]:\n            if name not in named",
)
enter(
    "A field that decides the flag is passed over",
    "flaxlayer_core/modules/linen.py",
    "return name in fields and getattr(module, name) is not None",
    "return name not in fields and getattr(module, name, None) is not None",
)
enter(
    "A tilde before the training argument is passed over",
    SIGNATURES,
    'flag = (training_arg.removeprefix("~"), training_arg.startswith("~"))',
    'flag = (training_arg.removeprefix("~"), False)',
)
