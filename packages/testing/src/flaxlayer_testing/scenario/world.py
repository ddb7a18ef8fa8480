"""A layer under test beside the model of the laws: both take each step, and are compared (T9)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from flaxlayer import FlaxLayer
from flaxlayer_testing.backends import current_backend
from flaxlayer_testing.errors import in_short
from flaxlayer_testing.oracle.call import RawCall, is_of_module
from flaxlayer_testing.oracle.model import LawModel, LayerState, Result, path_names
from flaxlayer_testing.oracle.oracle import Oracle
from flaxlayer_testing.render.building import make_arguments
from flaxlayer_testing.scenario.blame import failure_of, refuse_own
from flaxlayer_testing.scenario.comparisons import (
    compare_carried,
    compare_seed,
    compare_trained,
    is_explained,
    unexplained,
)
from flaxlayer_testing.scenario.held import Held, Site, Surrounding
from flaxlayer_testing.scenario.layer_settings import (
    called_by,
    select_paths,
    settings_of,
)
from flaxlayer_testing.scenario.lent import Lent
from flaxlayer_testing.scenario.making import emptied, make_layer, seeded, vary_given
from flaxlayer_testing.scenario.places import SURROUNDINGS, inputs_of
from flaxlayer_testing.scenario.scenario import Scenario
from flaxlayer_testing.scenario.setting_kinds import Drawn
from flaxlayer_testing.scenario.wrapped import carried_masks, numpy_mask
from flaxlayer_testing.spec.freedom import grow
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.subject.keras_parts import global_policy
from flaxlayer_testing.subject.layer import (
    LayerFactory,
    arrays_of,
    as_symbolic,
    leaf_paths,
    variables_of,
)
from flaxlayer_testing.subject.parity import compare_runs
from flaxlayer_testing.subject.records import LayerRecord
from flaxlayer_testing.subject.subject import Subject

__all__ = ["World"]


@dataclass(eq=False)
class World:
    """A layer in its surrounding, and what the laws say of it so far.

    Attributes:
        case: The module with its inputs, with a batch of no rows where a setting says so.
        subject: The same, with the layer under test.
        drawn: What the settings mean.
        laws: The model of the laws.
        state: What the laws say that the layer holds.
        held: The layer in its surrounding.
        kept: The settings that mean something for the module.
        surrounding: The surrounding in which it stands: the one that was drawn where it fits.
        lent: Trees of arrays that the user keeps, each with a copy of what it held (B4, W2).
        flagged: Whether the caller gave the training argument in the latest call.
    """

    case: Case
    subject: Subject
    drawn: Drawn
    laws: LawModel
    state: LayerState
    held: Held
    kept: Mapping[str, Any]
    surrounding: str
    lent: list[Lent] = field(default_factory=list)
    flagged: bool = False

    # Making.

    @classmethod
    def begin(cls, scenario: Scenario, factory: LayerFactory = FlaxLayer) -> World:
        """Makes the layer of a scenario, and the model of its laws."""
        world = cls.planned(scenario, factory)
        world.stand()
        if not world.drawn.built_late:
            world.build()
        return world

    @classmethod
    def planned(cls, scenario: Scenario, factory: LayerFactory = FlaxLayer) -> World:
        """Makes the model of the laws of a scenario, whose layer is not made yet."""
        options = dict(scenario.settings)
        case = emptied(scenario.case) if "empty_batch" in options else scenario.case
        subject = called_by(options, Subject.from_case(case, layer=factory))
        drawn, kept = settings_of(options, subject.oracle, case)
        drawn = seeded(drawn, case.seed)
        oracle = subject.oracle
        if drawn.given is not None:
            oracle = oracle.with_given(drawn.given)
        where = scenario.surrounding
        place = SURROUNDINGS[where]
        returned = drawn.laws.return_sown
        oracle = oracle.with_transient((*drawn.laws.losses, *returned))
        fits = place.fits(oracle) and (place.takes_sown or not returned)
        fits = fits and (not place.of_graph or oracle.sows_alike(returned))
        where = where if fits else "alone"
        behind = SURROUNDINGS[where].losses_behind
        laws = LawModel(oracle, replace(drawn.laws, losses_behind=behind))
        held = Held(None, None, _no_call)
        world = cls(case, subject, drawn, laws, LayerState({}), held, kept, where)
        world.lend(drawn.given, "arrays given to the layer")
        world.state = world.started()
        return world

    def stand(self) -> None:
        """Makes the layer, and puts it into its surrounding."""
        self.put(self.new_layer())

    def put(self, layer: Any) -> None:
        """Puts another layer into the surrounding, which holds what this one did."""
        with global_policy(self.drawn.policy):
            self.held = self.place.put(layer, self.site)

    def new_layer(self) -> Any:
        """Makes a layer of the same settings, which is not built."""
        layer = make_layer(self.subject, self.drawn)
        self.freeze(layer, *self.drawn.frozen)
        return layer

    @property
    def has_new_model(self) -> bool:
        """Whether a model around the layer takes its sizes from the next call, even from a refused.

        Keras's `Sequential` keeps those of a first call that fails.
        """
        held = self.held
        return held.model is not held.layer and not held.model.built

    @property
    def is_as_made(self) -> bool:
        """Whether a new layer computes as this one: no policy was set since."""
        return self.laws.settings.compute_dtype == self.drawn.laws.compute_dtype

    def build(self) -> None:
        """Builds the layer, if it is not built yet."""
        layer = self.held.layer
        if not layer.built:
            with global_policy(self.drawn.policy):
                self._build(layer)
        self.compare("after the build")

    def started(self) -> LayerState:
        """Returns the state of the layer when it is new."""
        chosen = [select_paths(selector, self.paths)[1] for selector in self.drawn.frozen]
        frozen: frozenset[str] = frozenset().union(*chosen)
        return replace(self.laws.built(), trainable=self.drawn.trainable, frozen=frozen)

    def _build(self, layer: Any) -> None:
        raw = self.raw
        if self.drawn.unknown_sizes and SURROUNDINGS["functional"].fits(self.oracle):
            args, kwargs = inputs_of(self.site)
            layer(*args, **kwargs)
        elif self.laws.oracle.traceable:
            layer(*as_symbolic(raw.inputs), **as_symbolic(dict(raw.arguments)))
        else:
            self.run_layer(raw, False)
            _, self.state = self.laws.call(self.state, self.seen_by_module(raw), training=False)

    def freeze(self, layer: Any, *selectors: tuple[str, int], thaw: bool = False) -> None:
        """Freezes, or thaws, what selectors name."""
        for selector in selectors:
            pattern, _ = select_paths(selector, self.paths)
            (layer.unfreeze if thaw else layer.freeze)(pattern)

    @property
    def patterns(self) -> list[str]:
        """The patterns of what is frozen before the build."""
        return [select_paths(selector, self.paths)[0] for selector in self.drawn.frozen]

    @property
    def paths(self) -> Collection[str]:
        """The paths of the variables that the layer is built with (W1)."""
        return path_names(self.laws.built().variables)

    @property
    def place(self) -> Surrounding:
        """The surrounding in which the layer stands."""
        return SURROUNDINGS[self.surrounding]

    @property
    def site(self) -> Site:
        """What surroundings are made for: the call, of unknown sizes where a setting says so."""
        return Site(self.oracle, self.subject.grown_inputs if self.drawn.unknown_sizes else None)

    # Calling.

    @property
    def raw(self) -> RawCall:
        """The call of the scenario's case."""
        return self.laws.oracle.raw

    @property
    def oracle(self) -> Oracle:
        """The module, run by raw Flax."""
        return self.laws.oracle

    def call_with(self, *, batch: int, seed: int, statics: int = 0, grown: bool = False) -> RawCall:
        """Returns the call on other arrays.

        Args:
            batch: The size of its batch; where it builds the layer, it is that of the case.
            seed: The seed of its arrays.
            statics: How far the values of extra parameters are from those of the case.
            grown: Whether the sizes are larger that may be unknown.

        Returns:
            A call.
        """
        case = self.case_with(batch=batch, seed=seed, statics=statics, grown=grown)
        inputs, arguments = make_arguments(case)
        return replace(self.raw, inputs=inputs, arguments=arguments)

    def case_with(self, *, batch: int, seed: int, statics: int = 0, grown: bool = False) -> Case:
        """Returns the case whose arguments are those of `call_with`."""
        case = grow(self.case) if grown else self.case
        assert case is not None
        batch = batch if self.held.layer.built else case.batch_size
        # A model around it has those of the case for good.
        given = vary_given(case, statics) if self.held.varies else case.given
        return replace(case, batch_size=batch, seed=seed, given=given)

    def seen_by_module(self, raw: RawCall) -> RawCall:
        """Returns a call as the module sees it here: with a mask, where it gets one."""
        if self.surrounding != "behind_mask" or not raw.takes_mask:
            return raw
        if self.drawn.hides_masks:
            return raw.with_mask(None)
        return raw.with_mask(numpy_mask(raw.inputs[0]))

    def given_by_caller(self, raw: RawCall) -> RawCall:
        """Returns a call as the caller makes it here: without the mask that Keras hands on."""
        return raw.with_mask(None) if self.surrounding == "behind_mask" else raw

    def run_layer(self, raw: RawCall, training: bool | None) -> Any:
        """Calls the layer in its surrounding, and returns what it gives as arrays."""
        backend, raw = current_backend(), self.given_by_caller(raw)
        args, kwargs = backend.to_backend((raw.inputs, dict(raw.arguments)))
        with global_policy(self.drawn.policy):
            return backend.to_arrays(self.held.run(args, kwargs, training))

    @contextmanager
    def context(self, name: str) -> Iterator[None]:
        """Lets the model of the laws compile anew, for a context that changes what it computes."""
        # An interceptor may do anything; where JAX runs a layer, nothing is compiled around one.
        bare = name == "interceptor" and current_backend().shares_programs
        before, self.laws = self.laws, replace(self.laws, context=name, uncompiled=bare)
        try:
            yield
        finally:
            self.laws = before

    def run_apart(self, layer: Any, raw: RawCall, training: bool) -> Any:
        """Calls another layer by itself, and returns what it gives as arrays."""
        backend = current_backend()
        args, kwargs = backend.to_backend((raw.inputs, dict(raw.arguments)))
        with global_policy(self.drawn.policy):
            return backend.to_arrays(layer(*args, training=training, **kwargs))

    def moves(self, state: LayerState, raw: RawCall, *, training: bool) -> bool:
        """Tells whether a call draws, or writes variables: the state after it is another."""
        before, after = path_names(self.state.variables), path_names(state.variables)
        written = {path for path, leaf in after.items() if before.get(path) is not leaf}
        if written and self.oracle.traceable:
            parts = self.place.parts(self.seen_by_module(raw))
            touched = [self.laws.written(self.state, part, training=training) for part in parts]
            written &= frozenset().union(*touched)
        return bool(written) or state.draws != self.state.draws

    def expect_apart(
        self, state: LayerState, raw: RawCall, *, training: bool
    ) -> tuple[Result, LayerState] | None:
        """Returns what the laws say of a call outside of the surrounding, None if it is refused."""
        try:
            return self.laws.call(state, raw, training=training)
        except Exception as error:  # the code of a module may refuse in any way
            if not is_of_module(error):
                raise
            return None

    def expect(self, raw: RawCall, *, training: bool) -> tuple[Result, LayerState] | Exception:
        """Returns what the laws say of a call, or the error with which raw Flax refuses it."""
        state, results = self.state, list[Result]()
        try:
            for part in self.place.parts(self.seen_by_module(raw)):
                result, state = self.laws.call(state, part, training=training)
                results.append(result)
        except Exception as error:  # the code of a module may refuse in any way
            if not is_of_module(error):
                raise
            return error
        outputs = self.place.joined([result.outputs for result in results])
        return replace(results[-1], outputs=outputs), state

    # Comparing.

    @property
    def computed(self) -> tuple[str, ...]:
        """The dtypes that the settings let the layer compute in."""
        dtype = self.laws.settings.compute_dtype
        return () if dtype is None else (dtype,)

    def compare_values(
        self, expected: Any, actual: Any, path: str, *, inlined: bool = False
    ) -> None:
        """Compares what raw Flax gave with what the layer gave."""
        compare_runs(
            self.subject, expected, actual, path=path, inlined=inlined, computed=self.computed
        )

    def compare_outputs(
        self, expected: Result, actual: Any, path: str, *, inlined: bool = False
    ) -> None:
        """Compares outputs, flat where the surrounding makes them so."""
        outputs = arrays_of(expected.outputs) if self.held.flat else expected.outputs
        self.compare_values(outputs, actual, path, inlined=inlined)

    def compare_masks(self, raw: RawCall) -> None:
        """Compares the masks that outputs carry with those of a native layer (A4)."""
        if self.surrounding != "behind_mask":
            return
        kept = carried_masks(self.oracle, self.seen_by_module(raw))
        if kept is None:
            return
        # What `return_sown` adds stands behind the outputs of the module.
        compare_carried(self.held.masks, numpy_mask(raw.inputs[0]), kept)

    def lend(self, tree: Any, what: str) -> None:
        """Remembers what a tree of arrays holds that the user goes on to use."""
        self.lent.append(Lent.of(tree, what))

    def compare_lent(self) -> None:
        """Compares the trees that the user keeps with what they held (B4, W2)."""
        for one in self.lent:
            one.compare()

    def compare(self, when: str, *, inlined: bool = False) -> None:
        """Compares all that the layer holds with what the laws say, and goes on from there."""
        layer, state = self.held.layer, self.state
        held = variables_of(layer)
        self.compare_values(state.variables, held, f"variables {when}", inlined=inlined)
        compare_seed(layer, [self.laws.settings.seed, state.draws], when)
        trained, variables = self.laws.trained(state), dict(state.variables)
        names = zip(path_names(variables), leaf_paths(variables), strict=True)
        compare_trained(layer, [name for path, name in names if path in trained], when)
        if inlined:  # near, not equal: what follows starts from what the layer holds
            self.state = replace(state, variables=held)

    # Refusals.

    def fails(self, what: str, act: Callable[[], Any]) -> bool:
        """Tells whether something is refused, by us or by Keras, with nothing changed by it."""
        error = failure_of(act)
        if error is None:
            return False
        refuse_own(error, self.subject.layer, what)
        if self.held.layer.built:  # a first call that is refused builds nothing
            self.compare(f"after {what}")
        return True

    def refused(self, what: str, act: Callable[[], Any], law: str) -> None:
        """Runs what has to be refused by an explained error, with nothing changed by it."""
        before = LayerRecord.of(self.held.layer)
        try:
            act()
        except Exception as error:
            if not is_explained(error):
                raise unexplained(what, in_short(error), law) from error
            before.refuse_changes(self.held.layer, what, law)
            self.compare(f"after {what}")
            return
        raise unexplained(what, "no error", law)


def _no_call(args: Any, kwargs: Any, training: Any) -> Any:
    message = "the layer has no surrounding yet"
    raise AssertionError(message)
