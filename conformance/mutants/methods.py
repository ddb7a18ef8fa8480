"""Further methods on the same weights (A3)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, law="A3", kind="methods")

METHODS = "flaxlayer/methods.py"

enter(
    "A method has a copy of what its layer hosts",
    METHODS,
    "        self._host(hosted, signature)\n",
    "        self._host(type(hosted)(**vars(hosted)), signature)\n",
)
enter(
    "The first call of a method does not build its layer",
    METHODS,
    "if hosted.weights is None and hosted.settings.init_method is not None:",
    "if hosted.weights is None and hosted.settings.init_method is None:",
)
enter(
    "A method finds its training argument by itself, whatever is said",
    METHODS,
    "            training_arg=training_arg,\n            rng_args=hosted",
    "            rng_args=hosted",
)
enter(
    "A method is called as the layer's own",
    "flaxlayer/calls/runner.py",
    "return replace(own, method=self.method, given=None,",
    "return replace(own, given=None,",
)
enter(
    "A function of the module is called by its name",
    "flaxlayer_core/modules/methods.py",
    "        if name and self._static(name) is function:\n",
    "        if name and self._static(name) is not None:\n",
)
enter(
    "A partial method loses its keyword arguments",
    "flaxlayer_core/modules/method_forms.py",
    "return functools.partial(function, **method.keywords) if method.keywords else function",
    "return function",
)
enter(
    "What a file shares is made anew for each method",
    "flaxlayer/saving/sharing.py",
    "    if token not in known:\n",
    "    if token not in known or known:\n",
    law="S4",
)
