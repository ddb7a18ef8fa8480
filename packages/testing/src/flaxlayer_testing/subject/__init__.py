"""What a check is about: a module, its inputs, the layer under test (T3)."""
