"""What a module is to a layer, found by abstract evaluation (B1, C2, C3, R1, A4)."""
