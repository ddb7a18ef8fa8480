"""Any Flax module as a first-class Keras layer.

Words, as they are used here:

- *hosted module*: a module in a `FlaxLayer`, with its settings and variables, which the layers of
  its methods share.
- *runner*: runs one method of it: finds out how, compiles, and writes back.
- *pure call*: a call as a function of stored arrays, a seed and arguments; *call result*: what it
  gave.
- *structure*: the static side of a call's arguments; the *arrays* go through the compiled function.
- *module spec*: what abstract evaluation found; *mode plan*: how the module is applied in a mode.
- *build inputs*: the arrays that a layer is built for, described; *guessed* where only supposed.
- *weights*: the module's variables as Keras variables, by path; *own* weights: a subclass's.
- *mask plan*: which argument takes a Keras mask, and which outputs keep it.
- *packed arguments*: a call that Keras records as flat arrays and one opaque argument.
- *backend*: what differs between Keras's backends; *lowered*: made ready for TensorFlow.
- *load*: a call of Keras that reads a file or a configuration; *known*: what such a file may name.
- *frozen*: what no training and no call changes, by path.
"""

# ruff: noqa: E402  What follows imports Keras, which would fail without a word on its backend.

from flaxlayer_core import require_backend

require_backend()

from flaxlayer.exports import ExportArchive, export
from flaxlayer.layer import FlaxLayer
from flaxlayer.methods import FlaxMethod
from flaxlayer.processes.predictions import predict_in_processes
from flaxlayer.processes.training_checkpoint import TrainingCheckpoint
from flaxlayer.processes.whole_files import save_in_processes
from flaxlayer.saving.checkpoints.registry import read_variables
from flaxlayer.saving.reference import load_reference_model
from flaxlayer_core import CollectionPolicy, FlaxLayerError, register

__all__ = [
    "CollectionPolicy",
    "ExportArchive",
    "FlaxLayer",
    "FlaxLayerError",
    "FlaxMethod",
    "TrainingCheckpoint",
    "export",
    "load_reference_model",
    "predict_in_processes",
    "read_variables",
    "register",
    "save_in_processes",
]
