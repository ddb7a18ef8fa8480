"""Side-by-side timings; `python -m benchmarks` runs all of them and prints ratios.

They run on JAX unless another backend was chosen for Keras.
"""

from flaxlayer_core import prefer_jax, require_backend

# Before any of them imports Keras.
prefer_jax()
require_backend()
