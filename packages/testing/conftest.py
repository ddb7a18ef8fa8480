"""Which modules this process can import: those of another backend have a process of their own."""

import keras

collect_ignore = [
    f"src/flaxlayer_testing/backends/{name}_backend.py"
    for name in ("tensorflow", "torch")
    if name != keras.backend.backend()
]
