"""Which tests run on which of Keras's backends: those of TensorFlow in a process of their own."""

import keras

collect_ignore = ["tests/test_tensorflow.py"]
if keras.backend.backend() != "tensorflow":
    collect_ignore = ["tests/tensorflow", "src/flaxlayer/backends/tensorflow"]
