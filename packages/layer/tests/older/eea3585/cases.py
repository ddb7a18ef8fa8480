"""What each file beside it holds, and what raw Flax makes of it without the layer."""

import functools
import hashlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import written
from flax import nnx

from flaxlayer import CollectionPolicy, FlaxLayer

CASES = {}
X = np.sin(np.arange(24, dtype=np.float32) ** 2).reshape(6, 4)
SEQUENCE = X.reshape(2, 3, 4).copy()
SEQUENCE[1, 1:] = 0.0  # masked
SOWN = ("intermediates", "losses")


class Case:
    """One layer `net` of linen on one input; other cases say what is different.

    Attributes:
        inputs: What the model gets.
        seed: The seed of `net`.
        draws: The streams of its call in training.
        step: Whether a step of SGD is compared too.
        starts: Whether the configuration alone makes the initial values again.
        held: What does not train, by the beginning of its path.
        more: State of `net` that init does not make.
        counts: The weight of each part of the outputs in a loss: a mask that travelled on.
    """

    more, counts = {}, None
    inputs, seed, draws, step, starts, held = X, 1, (), True, True, ()

    def __init_subclass__(cls):
        CASES[cls.__name__] = cls()

    def module(self):
        """The module, made again."""
        raise NotImplementedError

    def layer(self):
        return FlaxLayer(self.module(), seed=self.seed, name="net")

    def model(self):
        """The model of the file."""
        return keras.Sequential([keras.Input(self.inputs.shape[1:]), self.layer()])

    def init(self):
        """The initial variables of each Flax layer by name, by raw Flax."""
        return {"net": self.module().init(keys(self.seed, "params"), self.inputs)}

    def run(self, variables, x, rngs, training):
        """The outputs, and the variables that the call changed, by raw Flax."""
        return apply(self.module(), variables["net"], x, rngs=rngs)


def apply(module, variables, *args, **kwargs):
    y, new = module.apply(variables, *args, mutable=nn.DenyList(["params"]), **kwargs)
    return y, {"net": {name: part for name, part in new.items() if name not in SOWN}}


def tag(name):
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def keys(seed, *streams):
    """The keys of init (R2)."""
    base = jax.random.fold_in(call_base([seed, 0]), tag("flaxlayer/init"))
    return {name: jax.random.fold_in(base, tag(name)) for name in streams}


def call_keys(state, streams):
    """The keys of a call, from the state of the seed generator before it (R2)."""
    return {name: jax.random.fold_in(call_base(state), tag(name)) for name in streams}


def call_base(state):
    return jax.random.fold_in(jax.random.key(state[0]), state[1])


class linen(Case):
    draws = ("dropout",)

    def module(self):
        return written.Net()

    def layer(self):
        return FlaxLayer(self.module(), seed=self.seed, losses=(), name="net")

    def init(self):
        made = self.module().init(keys(self.seed, "params", "dropout"), X, True)
        return {"net": {name: made[name] for name in made if name not in SOWN}}

    def run(self, variables, x, rngs, training):
        return apply(self.module(), variables["net"], x, training, rngs=rngs)


class sown(linen):
    seed, step = 2, False  # it has a loss of its own, and outputs without targets

    def model(self):
        layer = FlaxLayer(
            self.module(),
            seed=self.seed,
            return_sown=("intermediates",),
            state_updates="training",
            collections=CollectionPolicy(state=("batch_stats",), transient=("losses",)),
            name="net",
        )
        x = keras.Input((4,))
        return keras.Model(x, layer(x))

    def run(self, variables, x, rngs, training):
        y, new = self.module().apply(variables["net"], x, training, rngs=rngs, mutable=True)
        return (y, {"intermediates": new["intermediates"]}), {}


class nnx_class(Case):
    seed, draws = 3, ("dropout",)

    def made(self):
        return written.NnxNet(4, rngs=nnx.Rngs(**keys(self.seed, "params", "dropout")))

    def module(self):
        return functools.partial(written.NnxNet, 4)

    def init(self):
        return {"net": collections_of(self.made())}

    def run(self, variables, x, rngs, training):
        module = self.made()
        put(module, variables["net"])
        module.train() if training else module.eval()
        nnx.reseed(module, policy="match_shape", **rngs)
        y = module(x)
        return y, {"net": {"batch_stats": collections_of(module)["batch_stats"]}}


class nnx_object(nnx_class):
    seed, draws, starts = 17, ("default",), False

    def made(self):
        return written.NnxNet(4, rngs=nnx.Rngs(7))

    def module(self):
        return self.made()


KINDS = {"params": nnx.Param, "batch_stats": nnx.BatchStat}


def collections_of(module):
    return {name: nnx.to_pure_dict(nnx.state(module, kind)) for name, kind in KINDS.items()}


def put(module, variables):
    for name, kind in KINDS.items():
        state = nnx.state(module, kind)
        nnx.replace_by_pure_dict(state, variables[name])
        nnx.update(module, state)


class frozen(Case):
    seed, held = 4, ("net/params/e/", "net/params/d/bias")

    def module(self):
        return written.AutoEncoder()

    def layer(self):
        layer = super().layer()
        layer.freeze("params/e/**", "params/*/bias")
        return layer


class factory(Case):
    seed = 5

    def module(self):
        return written.build_sized(3, act=nn.sigmoid)

    def layer(self):
        make = functools.partial(written.build_sized, 3, act=nn.sigmoid)
        return FlaxLayer(make, seed=self.seed, name="net")


class bound(Case):
    seed = 19

    def module(self):
        return written.Maker(3).make()

    def layer(self):
        return FlaxLayer(written.Maker(3).make, seed=self.seed, name="net")


class encoded(Case):
    seed = 6

    def module(self):
        return written.Sized(written.Opaque(3, nn.relu))


class fields(Case):
    seed = 7

    def module(self):
        return written.make_fields()


class dtypes(Case):
    seed, step = 8, False  # no optimizer of Keras takes a complex leaf

    def module(self):
        return written.Dtypes()


class late(Case):
    seed, more = 9, {"moments": {"mean": np.array([1, -1, 0.5], np.float32)}}

    def module(self):
        return written.Late()


class given(Case):
    step = starts = False  # a configuration has the form of what was given, not its values

    def module(self):
        return written.AutoEncoder()

    def init(self):
        made = self.module().init(jax.random.key(3), X)
        kept = {"key": jax.random.key(7), "wave": jnp.array([1j, 2.0])}
        return {"net": {**made, "kept": {**kept, "pair": (jnp.ones(2), jnp.ones(3, jnp.bfloat16))}}}

    def layer(self):
        return FlaxLayer(self.module(), "encode", variables=self.init()["net"], name="net")

    def run(self, variables, x, rngs, training):
        return self.module().apply(variables["net"], x, method="encode"), {}


# The dtype that a layer computes in, its units and the width of its input, which differ.
PARTS = {"mixed": ("bfloat16", 3, 4), "half": ("float16", 5, 3), "full": ("float32", 2, 5)}


class policies(Case):
    step = False  # rounding to halves would decide what is compared

    def model(self):
        dtypes = ("mixed_bfloat16", "float16", keras.DTypePolicy("float32"))
        layers = [
            FlaxLayer(nn.Dense(units), seed=units, dtype=dtype, name=name)
            for (name, (_, units, _)), dtype in zip(PARTS.items(), dtypes, strict=True)
        ]
        return keras.Sequential([keras.Input((4,)), *layers])

    def init(self):
        made = {}
        for name, (dtype, units, width) in PARTS.items():
            variables = nn.Dense(units).init(keys(units, "params"), jnp.ones((1, width)))
            stored = dtype if name == "half" else "float32"
            made[name] = jax.tree.map(functools.partial(jnp.asarray, dtype=stored), variables)
        return made

    def run(self, variables, x, rngs, training):
        for name, (dtype, units, _) in PARTS.items():
            known = jax.tree.map(functools.partial(jnp.asarray, dtype=dtype), variables[name])
            x = nn.Dense(units).apply(known, jnp.asarray(x, dtype))
        return x, {}


class methods(Case):
    """Two methods share weights with a layer; one is called twice, one is given as a function."""

    seed = 10

    def module(self):
        return written.AutoEncoder()

    def model(self):
        layer, x = self.layer(), keras.Input((4,))
        y = layer(x)
        encode = layer.method("encode", name="encode")
        decode = layer.method(written.AutoEncoder.decode, name="decode")
        return keras.Model(x, [decode(encode(decode(encode(x)))), y])

    def run(self, variables, x, rngs, training):
        module = self.module().bind(variables["net"])
        return [module(module(x)), module(x)], {}


class shared(Case):
    seed = 11

    def module(self):
        return nn.Dense(4)

    def model(self):
        layer, x = self.layer(), keras.Input((4,))
        return keras.Model(x, layer(layer(x)))

    def run(self, variables, x, rngs, training):
        once = self.module().apply(variables["net"], x)
        return self.module().apply(variables["net"], once), {}


class packed(Case):
    """Named tuples, a static argument, None and a Python number, in one call."""

    seed, step = 12, False  # a part of the outputs is the input

    def module(self):
        return written.Packs()

    def model(self):
        x = keras.Input((4,))
        pair, settings = written.Pair(x, 2 * x), {"mode": "both", "scale": 0.5, "bounds": (1, 3)}
        return keras.Model(x, self.layer()(pair, None, **settings))

    def init(self):
        return {"net": self.module().init(keys(self.seed, "params"), written.Pair(X, X))}

    def run(self, variables, x, rngs, training):
        pair, settings = written.Pair(x, 2 * x), {"mode": "both", "scale": 0.5, "bounds": (1, 3)}
        return self.module().apply(variables["net"], pair, None, **settings), {}


class masks(Case):
    """A mask of `[batch, time]`, and over the keys of stock attention."""

    inputs, seed, counts = SEQUENCE, 13, (SEQUENCE != 0).any(-1).astype(np.float32)

    def model(self):
        takes = FlaxLayer(written.Masked(), seed=self.seed, mask_arg="mask", name="takes")
        attends = FlaxLayer(nn.MultiHeadDotProductAttention(2), seed=14, name="attends")
        return keras.Sequential([keras.Input((3, 4)), keras.layers.Masking(), takes, attends])

    def init(self):
        attend = nn.MultiHeadDotProductAttention(2)
        return {
            "takes": written.Masked().init(keys(self.seed, "params"), self.inputs),
            "attends": attend.init(keys(14, "params"), self.inputs),
        }

    def run(self, variables, x, rngs, training):
        mask = (self.inputs != 0).any(-1)
        h = written.Masked().apply(variables["takes"], x, mask)
        attend = nn.MultiHeadDotProductAttention(2)
        return attend.apply(variables["attends"], h, mask=mask[:, None, None, :]), {}


class own_weights(Case):
    """A subclass of the layer with weights of its own, here under `own`."""

    seed = 15

    def module(self):
        return nn.Dense(3)

    def layer(self):
        return written.Own(self.module(), seed=self.seed, name="net")

    def init(self):
        return {**super().init(), "own": {"before": jnp.ones(3), "after": jnp.zeros(3)}}

    def run(self, variables, x, rngs, training):
        y = self.module().apply(variables["net"], x)
        return y * variables["own"]["before"] + variables["own"]["after"], {}


class within(linen):
    """A subclassed model, of which the weights alone are stored too, for one that is not built."""

    seed, made = 16, staticmethod(written.Within)

    def model(self):
        return written.Within()

    def init(self):
        last = nn.Dense(3).init(keys(17, "params"), jnp.ones((1, 3)))
        own = {"before": jnp.ones(3), "after": jnp.zeros(3)}
        return {**super().init(), "last": last, "own": own}

    def run(self, variables, x, rngs, training):
        h, new = apply(self.module(), variables["net"], x, training, rngs=rngs)
        y = nn.Dense(3).apply(variables["last"], h)
        return y * variables["own"]["before"] + variables["own"]["after"], new
