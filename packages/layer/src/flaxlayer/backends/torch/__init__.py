"""The torch backend: modules run in JAX, on the memory of torch's tensors (K3)."""
