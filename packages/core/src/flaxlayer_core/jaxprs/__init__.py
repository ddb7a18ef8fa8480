"""Traced functions: cut to what their results need, and run as eager JAX runs them (B2)."""
