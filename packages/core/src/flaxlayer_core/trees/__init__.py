"""Trees of variables, arguments and outputs: paths, collections, and what JAX has no tree for."""
