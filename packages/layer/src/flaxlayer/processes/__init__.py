"""What Keras leaves to its user where JAX runs in several processes (D1, D2, D3)."""
