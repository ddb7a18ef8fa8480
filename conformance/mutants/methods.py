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
    "A method is called as the layer's own",
    "flaxlayer/calls/runner.py",
    "return replace(own, method=self.method, given=None,",
    "return replace(own, given=None,",
)
enter(
    "A partial method loses its keyword arguments",
    "flaxlayer_core/modules/method_forms.py",
    "return functools.partial(function, **method.keywords) if method.keywords else function",
    "return function",
)
