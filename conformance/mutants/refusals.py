"""What is to be refused, errors that leave things half changed, and threads (A6, A8, C5)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, kind="refusals")
thread = partial(mutant, law="A8", kind="threads")

RUNNER = "flaxlayer/calls/runner.py"

enter(
    "A traced value is written into a variable",
    RUNNER,
    "            self._refuse_tracers(writes)\n",
    "            pass\n",
    law="A6",
)
enter(
    "A pattern that selects nothing is passed over",
    "flaxlayer_core/trees/path_patterns.py",
    "            raise _selects_nothing(pattern, root, title)\n",
    "            continue\n",
    law="C5",
)
enter(
    "Patterns freeze up to the first that selects nothing",
    "flaxlayer/weights/freezing.py",
    "        chosen = match_paths(patterns, weights.layout.paths, title=title)\n"
    "        self.paths = self.paths | chosen if freeze else self.paths - chosen\n",
    "        for pattern in patterns:\n"
    "            chosen = match_paths([pattern], weights.layout.paths, title=title)\n"
    "            self.paths = self.paths | chosen if freeze else self.paths - chosen\n",
    law="C5",
)
enter(
    "Arguments that do not fit are left for Flax to refuse",
    "flaxlayer_core/modules/signatures.py",
    "        self._check(args, completed)\n        return args, completed\n",
    "        return args, completed\n",
    law="A2",
)
enter(
    "A mask argument that the method has not is accepted",
    "flaxlayer_core/modules/signatures.py",
    '            _check_argument(signature, "mask_arg", mask_arg, title)\n',
    "            pass\n",
    law="A4",
)
enter(
    "A seed of any size is accepted",
    "flaxlayer/json_values.py",
    "type(value) is int and 0 <= value < 2**32,",
    "type(value) is int,",
    law="R3",
)
enter(
    "A call of a method on a layer that is not built builds it by that method",
    "flaxlayer/methods.py",
    '        hosted.require_built("weights for its methods")\n',
    "        if hosted.weights is None:\n            self._layer._builder.build_for(inputs)\n",
    law="A3",
)
thread(
    "Calls of several threads draw the same keys",
    RUNNER,
    "with self.hosted.locks.calls if turns else _NO_LOCK:",
    "with _NO_LOCK:",
)
thread(
    "Calls of several threads that change state alone do not wait for each other",
    "flaxlayer/program.py",
    "return bool(self.plan.streams) or any(role is Role.STATE for role in roles)",
    "return bool(self.plan.streams) or (False and any(role is Role.STATE for role in roles))",
)
thread(
    "The first calls of several threads build at the same time",
    "flaxlayer/calls/settling.py",
    "with self._runner.hosted.locks.build:",
    "with type(self._runner.hosted.locks)().build:",
)
