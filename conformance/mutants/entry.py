"""A mutant: one realistic change of the product's source, and the law that it breaks (T11)."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["KINDS", "MUTANTS", "SOURCES", "Mutant", "StaleMutantError", "find", "mutant"]

ROOT = Path(__file__).parents[2]
SOURCES = {
    "flaxlayer_core": ROOT / "packages/core/src",
    "flaxlayer": ROOT / "packages/layer/src",
}

KINDS = {
    "arguments": "the role of a static argument, None, keyword arrays, numbers, typed keys",
    "context": "what changes a call and has to be in the key of its compiled function",
    "randomness": "seeds, streams and keys: a step, a name, a draw where none is needed",
    "frozen": "what is frozen changes, or what is free does not",
    "state": "when and how changed state is written back",
    "files": "weights in files: entries, shapes, all or nothing",
    "trees": "weights as trees: values taken and handed back",
    "masks": "Keras masks, into the method and on to the outputs",
    "sizes": "unknown and unusual sizes",
    "policies": "dtypes of policies, at the call and in store",
    "settings": "a setting that a configuration loses or changes",
    "sown": "sown values and losses",
    "given": "given variables: whole, in part, of other dtypes",
    "init": "initial values as those of init",
    "training": "the training flag",
    "methods": "further methods on the same weights",
    "nnx": "modules of nnx: modes, streams, sharing, the user's object",
    "outputs": "the structure of outputs",
    "roles": "roles of collections",
    "surroundings": "Sequential and functional models, symbolic builds, copies",
    "threads": "calls from several threads",
    "paths": "names and paths of weights, patterns",
    "names": "which names a stored configuration may use",
    "refusals": "what is to be refused, and errors that leave things half changed",
}
"""What a mutant may be about."""


class StaleMutantError(Exception):
    """A mutant whose text does not stand in the source just once any more."""


@dataclass(frozen=True)
class Mutant:
    """A change of one file.

    Attributes:
        name: What the changed product does: a sentence.
        file: The file, from the folder of sources on, such as `flaxlayer/layer.py`.
        old: The text that is changed; it stands in the file just once.
        new: What stands in its place.
        law: The law that is broken.
        kind: One of `KINDS`.
    """

    name: str
    file: str
    old: str
    new: str
    law: str
    kind: str

    @property
    def slug(self) -> str:
        """The name as one word, for commands and records."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def path(self) -> Path:
        """Where the file stands."""
        return SOURCES[self.file.partition("/")[0]] / self.file

    @property
    def module(self) -> str:
        """The name that the file is imported by."""
        return self.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def source(self) -> str:
        """Returns the changed source.

        Raises:
            StaleMutantError: If the text does not stand there just once, or nothing changes.
        """
        source = self.path.read_text(encoding="utf-8")
        found = source.count(self.old)
        if found != 1:
            raise StaleMutantError(f"{self.slug}: its text stands {found} times in {self.file}")
        changed = source.replace(self.old, self.new)
        if ast.dump(ast.parse(changed)) == ast.dump(ast.parse(source)):
            raise StaleMutantError(f"{self.slug}: nothing changes in {self.file}")
        return changed


MUTANTS: list[Mutant] = []


def mutant(name: str, file: str, old: str, new: str, *, law: str, kind: str) -> Mutant:
    """Enters a mutant into the list.

    Raises:
        ValueError: If there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of mutants: {', '.join(KINDS)}")
    entered = Mutant(name, file, old, new, law, kind)
    MUTANTS.append(entered)
    return entered


def find(words: str) -> Mutant:
    """Returns the mutant that a slug, a sentence, or the beginning of one slug names.

    Raises:
        LookupError: If there is none, or several begin so.
    """
    exact = [each for each in MUTANTS if words in (each.slug, each.name)]
    found = exact or [each for each in MUTANTS if each.slug.startswith(words)]
    if len(found) == 1:
        return found[0]
    raise LookupError(f"{len(found)} mutants are called {words!r}; see `list`")
