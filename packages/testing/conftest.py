"""Which modules this process can import: those of another backend have a process of their own."""

import keras

if keras.backend.backend() != "tensorflow":
    collect_ignore = ["src/flaxlayer_testing/backends/tensorflow_backend.py"]
