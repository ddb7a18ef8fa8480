"""Modules and programs from a spec: linen and nnx as text that runs and prints (T1)."""
