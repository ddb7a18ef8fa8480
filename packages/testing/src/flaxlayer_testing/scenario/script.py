"""What the text of a step of a printed scenario is made with (T1, T9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from flaxlayer_testing.oracle.call import RawCall
from flaxlayer_testing.oracle.flags import mode_arguments
from flaxlayer_testing.oracle.key_parameters import wanted_keys
from flaxlayer_testing.oracle.model import LayerState, path_names
from flaxlayer_testing.render.dialects import DIALECTS
from flaxlayer_testing.render.program_inputs import input_lines, layer_settings
from flaxlayer_testing.scenario.digits import digits_lines
from flaxlayer_testing.scenario.held import sizes_text, takes_arrays
from flaxlayer_testing.scenario.layer_settings import SETTINGS
from flaxlayer_testing.scenario.setting_kinds import SettingText
from flaxlayer_testing.scenario.world import World
from flaxlayer_testing.scenario.wrapped import carried_masks
from flaxlayer_testing.spec.spec import Case
from flaxlayer_testing.subject.layer import leaf_paths

__all__ = ["Script", "StepText", "indented"]

StepText = Callable[..., list[str]]
"""`text(script, **options)` returns the lines of a step, before it is taken."""


@dataclass(frozen=True)
class Script:
    """A scenario that is printed, where a step begins.

    The lines of a step stand in a program with these names: `layer`, `model` and `run(args, kwargs,
    training)`, the layer in its surrounding; `raw`, which runs the module by raw Flax, and
    `variables`, what the layer has to hold; `inputs` and `arguments`, those of the last call.

    Attributes:
        world: The layer and the model of the laws, before the step.
    """

    world: World

    # Arguments.

    def arguments(self, case: Case | None = None) -> list[str]:
        """Returns the lines that make `inputs` and `arguments`.

        Args:
            case: What they are of, such as `World.case_with` gives; that of the scenario if None.
        """
        case = case or self.world.case
        lines = input_lines(case)
        return lines if case.spec.extras else [*lines, "arguments = {}"]

    def given(self, raw: RawCall, mask: str = "") -> tuple[str, str]:
        """Returns the texts of the arguments of a call.

        Args:
            raw: The call, as the caller makes it.
            mask: The text of the mask that stands in the place of one that Keras hands on.
        """
        if self.world.surrounding != "behind_mask" or not raw.takes_mask:
            return "inputs", "arguments"
        return self.masked(raw, mask)

    def masked(self, raw: RawCall, mask: str = "") -> tuple[str, str]:
        """Returns the texts of the arguments of a call with another mask, or with none.

        Args:
            raw: The call, of a method that takes a mask.
            mask: The text of the mask.
        """
        names, count = list(raw.signature.parameters)[1:], len(raw.inputs)
        at = min(names.index("mask"), count)
        later = [f"'{names[n]}': inputs[{n}]" for n in range(at + 1, count)]
        parts = ["**arguments", *later, *([f"'mask': {mask}"] if mask else [])]
        text = f"{{{', '.join(parts)}}}" if len(parts) > 1 else "arguments"
        return f"inputs[:{at}]", text

    def run(self, raw: RawCall, training: bool | None) -> str:
        """Returns the text of a call of the layer in its surrounding."""
        inputs, arguments = self.given(raw)
        return f"run({inputs}, {arguments}, {training})"

    # Raw Flax.

    def keys(self, state: LayerState, raw: RawCall, *, training: bool) -> str:
        """Returns the text of the keys of the next call (R2)."""
        streams = sorted(self.world.laws.streams(raw, training=training))
        if not streams:
            return "{}"
        return f"keys({[self.seed, state.draws]}{''.join(f', {s!r}' for s in streams)})"

    @property
    def seed(self) -> int:
        """The seed of the layer."""
        return self.world.laws.settings.seed

    @property
    def fed_back(self) -> list[str]:
        """The collections that a call in training feeds back, if the layer keeps them."""
        state, oracle = self.world.state, self.world.oracle
        kept = state.trainable and self.world.laws.settings.state_updates != "never"
        return sorted(set(oracle.eventual) - oracle.raw.trainable) if kept else []

    def seen(self, raw: RawCall, *, training: bool) -> tuple[str, str]:
        """Returns the texts of the arguments as the module sees them, but for keys.

        Args:
            raw: The call, as the caller makes it.
            training: The mode.
        """
        mask = "" if self.world.drawn.hides_masks else "mask_of(inputs[0])"
        inputs, arguments = self.given(raw, mask)
        seen = self.world.seen_by_module(raw)
        return inputs, self.with_flag(seen, arguments, training=training)

    def applied(
        self, state: LayerState, raw: RawCall, inputs: str, arguments: str, *, training: bool
    ) -> str:
        """Returns the text of a raw call.

        Args:
            state: The state before.
            raw: The call, as the module sees it.
            inputs: The text of its positional arguments.
            arguments: The text of its keyword arguments, but for keys.
            training: The mode.
        """
        keys = self.keys(state, raw, training=training)
        words = [inputs, arguments, keys, str(training)]
        settings = self.settings(raw, training=training)
        return f"raw.apply(variables, {', '.join([*words, *settings])})"

    def with_flag(self, raw: RawCall, arguments: str, *, training: bool) -> str:
        """Returns the text of keyword arguments with those that say the mode (A2)."""
        flags = mode_arguments(
            raw.target, raw.arguments, raw.training_arg, training=training, method=raw.method
        )
        pairs = "".join(f", {name!r}: {value}" for name, value in flags.items())
        return f"{{**{arguments}{pairs}}}" if pairs else arguments

    def settings(self, raw: RawCall, *, training: bool) -> list[str]:
        """Returns the texts of what else a raw call has to know."""
        dtype, method = self.world.laws.settings.compute_dtype, raw.method
        words = self.filled(raw, training=training)
        words += [f"dtype={dtype!r}"] if dtype else []
        return words + ([f"method={method!r}"] if method != "__call__" else [])

    def filled(self, raw: RawCall, *, training: bool) -> list[str]:
        """Returns the text of the arguments that the layer fills with keys (R5)."""
        parts = wanted_keys(raw.keys, raw.signature, raw.arguments, training=training)
        return [f"filled={ {part.name: part.stream for part in parts} }"] if parts else []

    # Comparing.

    def holds(self, state: LayerState, *, exact: bool = True) -> str:
        """Returns the line that compares what the layer holds with what it has to (W2, R2, C5).

        Args:
            state: What the laws say, but for the values, which are those of `variables`.
            exact: Whether the values are equal, not near.
        """
        variables = state.variables
        names = dict(zip(path_names(variables), leaf_paths(variables), strict=True))
        trained = sorted(names[path] for path in self.world.laws.trained(state))
        words = f"layer, variables, {[self.seed, state.draws]}, {trained}"
        return f"holds({words})" if exact else f"variables = holds({words}, exact=False)"

    def expected(
        self, raw: RawCall, *, training: bool, moves: bool = True
    ) -> tuple[list[str], LayerState]:
        """Returns the lines that make `expected`, `sown` and `variables` of a call by raw Flax.

        Args:
            raw: The call, as the caller makes it.
            training: The mode.
            moves: Whether `variables` go on.

        Returns:
            The lines, and how the state goes on.
        """
        world, lines, state = self.world, list[str](), self.world.state
        place, seen = world.place, world.seen_by_module(raw)
        inputs, arguments = self.seen(raw, training=training)
        names = [f"part_{number}" for number in range(len(place.part_texts))]
        names = names if place.joined_text else ["expected"]
        for name, part, text in zip(names, place.parts(seen), place.part_texts, strict=True):
            call = self.applied(state, part, text or inputs, arguments, training=training)
            lines.append(f"{name}, updates = {call}")
            lines += self.following(training=training) if moves else []
            drawn = bool(world.laws.streams(part, training=training))
            state = replace(state, draws=state.draws + drawn)
        if place.joined_text:
            lines.append(f"expected = {place.joined_text.format(*names)}")
        return [*lines, *self.sown()], state

    def apart(self, state: LayerState, raw: RawCall, *, training: bool) -> list[str]:
        """Returns the lines that make `expected` and `variables` of a call of a layer by itself.

        Args:
            state: The state before.
            raw: The call, as the caller makes it.
            training: The mode.
        """
        arguments = self.with_flag(raw, "arguments", training=training)
        call = self.applied(state, raw, "inputs", arguments, training=training)
        lines = [f"expected, updates = {call}", *self.following(training=training)]
        return [*lines, *self.sown()]

    def drawn(self, raw: RawCall, *, training: bool) -> LayerState:
        """Returns the state after a call of the layer by itself, but for the values."""
        state = self.world.state
        drawn = bool(self.world.laws.streams(raw, training=training))
        return replace(state, draws=state.draws + drawn)

    def of_another(self, *lines: str) -> list[str]:
        """Returns lines about a new layer of the same settings, after which all is as before."""
        kept = ["kept = layer, variables", *self.new_layer(), "variables = started"]
        return [*kept, *lines, "layer, variables = kept"]

    def sown(self) -> list[str]:
        """Returns the lines that take what a call sowed, and return it where a setting says so."""
        returned = list(self.world.laws.settings.return_sown)
        lines = [f"sown = sown_in(updates, {sorted(self.world.oracle.eventual)})"]
        if not returned:
            return lines
        part = f"{{name: sown[name] for name in {returned} if name in sown}}"
        return [*lines, f"expected = expected, {part}"]

    def following(self, *, training: bool) -> list[str]:
        """Returns the line that takes over what a call changes; none where nothing is (C3, C5)."""
        when, state = self.world.laws.settings.state_updates, self.world.state
        if when == "training" and not training:
            return []
        denied = frozenset() if training else self.world.oracle.denied
        names = [name for name in self.fed_back if name not in denied]
        frozen = f", {sorted(state.frozen)}" if state.frozen else ""
        return [f"variables = after(variables, updates, {names}{frozen})"] if names else []

    def taken(self, raw: RawCall, training: bool | None, *, inlined: bool = False) -> list[str]:
        """Returns the lines of a call of the layer beside raw Flax, as `take_call` takes it.

        Args:
            raw: The call, as the caller makes it.
            training: The mode that the caller says, None for none.
            inlined: Whether the values are near, not equal.
        """
        world, mode, call = self.world, bool(training), self.run(raw, training)
        if isinstance(world.expect(raw, training=mode), Exception):
            held = [self.holds(world.state)] if world.held.layer.built else []
            placed = self.placed() if world.has_new_model else []
            return [f"fails(lambda: {call})", *placed, *held]
        lines, state = self.expected(raw, training=mode)
        expected = "arrays_of(expected)" if world.held.flat else "expected"
        exact = ", exact=False" if inlined else ""
        lines += [f"same({expected}, {call}{exact})", *self._masks(raw)]
        return [*lines, self.holds(state, exact=not inlined), *self._added(exact)]

    def _masks(self, raw: RawCall) -> list[str]:
        if self.world.surrounding != "behind_mask":
            return []
        kept = carried_masks(self.world.oracle, self.world.seen_by_module(raw))
        return [] if kept is None else [f"masks_are(masks, mask_of(inputs[0]), {kept})"]

    def _added(self, exact: str) -> list[str]:
        world, behind = self.world, self.world.place.losses_behind
        loss = f"summed(sown, {list(world.laws.settings.losses)})"
        if world.held.model is world.held.layer:
            return [f"same(sown, dict(layer.sown){exact})", f"adds(layer, {loss})"]
        return [f"adds(model, {loss} + {behind} * probe(expected))"] if behind else []

    def refused(self, act: str, *lines: str) -> list[str]:
        """Returns the lines that see something refused, with nothing changed by it."""
        return [*lines, f"refused(layer, lambda: {act})", self.holds(self.world.state)]

    # The layer.

    def beginning(self) -> list[str]:
        """Returns the lines that make `raw`, `variables` and the layer in its surrounding."""
        world, oracle = self.world, self.world.subject.oracle
        dialect = DIALECTS[world.case.framework]
        denied = f", denied={sorted(world.oracle.denied)}" if world.oracle.denied else ""
        return [
            *self.arguments(),
            *digits_lines({*world.oracle.computed_dtypes, *world.computed}),
            *dialect.module_lines(world.case),
            f"raw = {dialect.raw.__name__}(module{denied})",
            f"variables = {self._initial(training=True)}",
            *(
                [f"variables = filled_in(variables, {self._initial(training=False)})"]
                if oracle.inference_adds
                else []
            ),
            f"variables = {{name: variables[name] for name in {sorted(oracle.stored)}}}",
            *self._started(),
            "started = variables",
            *self._layer(),
            *self.placed(),
        ]

    def _initial(self, *, training: bool) -> str:
        raw, streams = self.world.raw, sorted(self.world.subject.oracle.init_streams)
        names = "".join(f", {stream!r}" for stream in streams)
        keys = f"keys([{self.seed}, 0]{names}, prefix=['flaxlayer/init'])" if streams else "{}"
        words = [keys, "inputs", self.with_flag(raw, "arguments", training=training)]
        words += self.filled(raw, training=training)
        words += [f"method={raw.init_method!r}"] if raw.init_method != "__call__" else []
        return f"raw.init({', '.join(words)})"

    def _started(self) -> list[str]:
        """Returns the lines that make of raw init's variables those of the layer (B4, A7)."""
        world = self.world
        lines = [line for text in self.setting_texts for line in text.values]
        wanted = path_names(world.laws.built().variables)
        given = world.drawn.given
        made = {*path_names(world.subject.oracle.stored), *path_names(given or {})}
        if made != set(wanted):
            lines.append(f"variables = only(variables, {sorted(wanted)})")
        stored = world.laws.settings.stored_dtype
        if stored is not None:
            names = sorted(world.oracle.raw.trainable & set(world.oracle.stored))
            parts = "".join(f", {name!r}: cast(variables[{name!r}], {stored!r})" for name in names)
            lines.append(f"variables = {{**variables{parts}}}")
        return lines

    def built(self) -> list[str]:
        """Returns the lines that build the layer, if it is not built, and compare what it holds."""
        world = self.world
        if world.held.layer.built:
            return [self.holds(world.state)]
        if world.drawn.unknown_sizes and takes_arrays(world.oracle):
            symbols = f"inputs_like((inputs, arguments){sizes_text(world.site)})"
        else:
            symbols = "symbolic((inputs, arguments))"
        return [f"args, kwargs = {symbols}", "layer(*args, **kwargs)", self.holds(world.state)]

    def placed(self) -> list[str]:
        """Returns the lines that put `layer` into its surrounding, as `model` and `run`."""
        text = self.world.place.text
        assert text is not None
        return text(self.world.site)

    @property
    def model(self) -> str:
        """The text of a functional model of the layer alone."""
        return f"model_of(layer, inputs, arguments{sizes_text(self.world.site)})"

    @property
    def holder(self) -> str:
        """The text of a subclassed model of the layer alone, which leaves it to be built."""
        return "Unbuilt(layer, inputs, arguments)"

    @property
    def setting_texts(self) -> list[SettingText]:
        """What the settings are in a program."""
        world = self.world
        pairs = [(SETTINGS[name].text, value) for name, value in world.kept.items()]
        return [text(world.drawn, value, world.case) for text, value in pairs if text is not None]

    def new_layer(self) -> list[str]:
        """Returns the lines that make the module and the layer, with what its settings say."""
        return [*DIALECTS[self.world.case.framework].module_lines(self.world.case), *self._layer()]

    def _layer(self) -> list[str]:
        world, case, texts = self.world, self.world.case, self.setting_texts
        words = [] if world.drawn.global_seed else [f"seed={case.seed}"]
        words += [f"{n}={value!r}" for n, value in layer_settings(case.spec).items()]
        words += [f"{name}={value}" for text in texts for name, value in text.arguments.items()]
        return [
            *(line for text in texts for line in text.before),
            f"layer = Layer({', '.join(['module', *words])})",
            *(f"layer.freeze({pattern!r})" for pattern in world.patterns),
        ]


def indented(lines: Sequence[str], head: str) -> list[str]:
    """Returns lines in a block."""
    return [head, *(f"    {line}" if line else "" for line in lines)]
