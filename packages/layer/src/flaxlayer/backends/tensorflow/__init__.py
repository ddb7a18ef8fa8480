"""The TensorFlow backend: modules run as StableHLO, through its operation for it (K2)."""
