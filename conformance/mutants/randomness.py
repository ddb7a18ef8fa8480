"""Seeds, streams and keys (R1 to R5)."""

from functools import partial

from conformance.mutants.entry import mutant

enter = partial(mutant, kind="randomness")

KEYS = "flaxlayer_core/random/keys.py"
PROGRAM = "flaxlayer/program.py"
PLANS = "flaxlayer_core/discovery/mode_plans.py"
LAYER = "flaxlayer/layer.py"

enter(
    "The seed of a call moves on by two",
    KEYS,
    "return seed + np.array([0, 1], seed.dtype)",
    "return seed + np.array([0, 2], seed.dtype)",
    law="R2",
)
enter(
    "The seed of a call does not move on",
    PROGRAM,
    "following = next_seed(seed) if self.plan.streams else None",
    "following = seed if self.plan.streams else None",
    law="R2",
)
enter(
    "The streams of a call have their keys by their order",
    KEYS,
    "    base = _base_key(seed)\n"
    "    return {name: jax.random.fold_in(base, _tag(name)) for name in streams}\n",
    "    base = _base_key(seed)\n"
    "    return {name: jax.random.fold_in(base, i) for i, name in enumerate(streams)}\n",
    law="R2",
)
enter(
    "Init and the first call use the same keys",
    KEYS,
    "fold_in(key, 0, _tag(_INIT), _tag(name))",
    "fold_in(key, 0, _tag(name))",
    law="R2",
)
enter(
    "Initial keys are those of threefry, whatever the implementation",
    KEYS,
    'if prng_impl() == "threefry2x32":',
    "if prng_impl():",
    law="R3",
)
enter(
    "A seed of zero counts as none",
    LAYER,
    "seed = random.randint(1, int(1e9)) if settings.seed is None else settings.seed",
    "seed = settings.seed or random.randint(1, int(1e9))",
    law="R3",
)
enter(
    "Keras's global seed does not govern a layer without one",
    LAYER,
    "seed = random.randint(1, int(1e9)) if settings.seed is None",
    "seed = random.SystemRandom().randint(1, int(1e9)) if settings.seed is None",
    law="R3",
)
enter(
    "The seed governs init, and not the calls",
    LAYER,
    "self.seed_generator = keras.random.SeedGenerator(seed)",
    "self.seed_generator = keras.random.SeedGenerator()",
    law="R3",
)
enter(
    "Looking at the next keys draws them",
    "flaxlayer/calls/module_layer.py",
    "seed = runner.backend.to_jax(hosted.seed_generator.state.value)",
    "seed = runner.backend.to_jax(hosted.seed_generator.next())",
    law="R4",
)
enter(
    "The next keys are those of the call that built the layer",
    "flaxlayer/calls/module_layer.py",
    "asked = runner.cache.latest or hosted.spec",
    "asked = hosted.spec",
    law="R4",
)
enter(
    "An nnx module draws from each stream that it has, needed or not",
    PLANS,
    "drawn = [n for i, n in enumerate(offered) if traced.needs(2 + i) or n in asked]",
    "drawn = list(offered)",
    law="R4",
)
enter(
    "At inference a module gets the streams that it only asks about",
    PLANS,
    "optimistic=plan.training,",
    "optimistic=True,",
    law="R1",
)
enter(
    "At inference a method gets keys that it can do without",
    PLANS,
    "return _plan_keyed(trial, variables, training, denied, optional_keys=())",
    "raise ValueError",
    law="R5",
)
enter(
    "A key that nothing is drawn from moves the seed",
    PLANS,
    'if any(key.kind == "rngs" for key in keys) else set()',
    'if any(key.kind == "rngs" for key in keys) else supplied',
    law="R4",
)
enter(
    "A key argument gets the stream of its own name, whatever is said",
    "flaxlayer_core/modules/key_arguments.py",
    "rng_args.get(name, _default_stream(name))",
    "_default_stream(name)",
    law="R5",
)
