"""Generated modules are examined alike in the suite and outside of it."""

from hypothesis import settings

from benchmarks.generated_modules import run_modules


def test_a_benchmark_examines_modules_without_a_profile_of_ours():
    profile = settings.get_current_profile_name()
    settings.load_profile("default")
    try:
        run_modules(3, 1)
    finally:
        settings.load_profile(profile)
