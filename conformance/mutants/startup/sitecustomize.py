"""Python runs this at its start where the folder is on its path: the process is a mutant then."""

import os

from conformance.mutants import find, install

if "FLAXLAYER_MUTANT" in os.environ:
    install(find(os.environ["FLAXLAYER_MUTANT"]))
