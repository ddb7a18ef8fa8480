"""The modules of the files beside it, which an earlier tree wrote (530ab4f); do not change."""

import dataclasses
from typing import Any

import flax.linen as nn
from flax import nnx

import flaxlayer


@flaxlayer.register
@dataclasses.dataclass(frozen=True)
class Cfg:
    n: int = 3
    k: tuple[int, ...] = (1, 2)


@flaxlayer.register
class Tok(nn.Module):
    cfg: Cfg = Cfg()
    act: Any = nn.relu

    @nn.compact
    def __call__(self, x, train=False):
        h = nn.BatchNorm(use_running_average=not train)(nn.Embed(11, 4)(x))
        h = nn.Dropout(0.2, deterministic=not train)(h)
        return self.act(nn.Dense(self.cfg.n)(h.mean(-2)))


@flaxlayer.register
class Seq(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x)


@flaxlayer.register
class Masked(nn.Module):
    @nn.compact
    def __call__(self, x, mask=None):
        h = nn.Dense(3)(x)
        return h if mask is None else h * mask[..., None]


@flaxlayer.register
class Pack(nn.Module):
    @nn.compact
    def __call__(self, p, mode="a", scale=2.0):
        return {"y": nn.Dense(2)(p["q"]) * scale, "z": p["r"]}


@flaxlayer.register
class AE(nn.Module):
    def setup(self):
        self.e = nn.Dense(2)
        self.d = nn.Dense(4)

    def encode(self, x):
        return self.e(x)

    def __call__(self, x):
        return self.d(self.e(x))


@flaxlayer.register
class Net(nnx.Module):
    def __init__(self, dim=4, *, rngs):
        self.d = nnx.Linear(dim, 3, rngs=rngs)
        self.bn = nnx.BatchNorm(3, rngs=rngs)
        self.dr = nnx.Dropout(0.2, rngs=rngs)

    def __call__(self, x):
        return self.dr(self.bn(self.d(x)))
