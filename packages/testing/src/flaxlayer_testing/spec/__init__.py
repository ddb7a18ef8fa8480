"""What a generated module is, as data: its graph, its types, its traits (T1)."""
