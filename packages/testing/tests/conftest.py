"""One Hypothesis profile for every test of the harness."""

from hypothesis import HealthCheck, settings

# A first example pays for tracing, so no deadline; the same examples on every machine.
settings.register_profile(
    "flaxlayer",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("flaxlayer")
