"""How long the fuzzing goes on: `--hypothesis-profile=fuzz` for minutes, else a moment a test."""

from hypothesis import HealthCheck, settings

SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]

settings.register_profile(
    "fuzz", max_examples=20_000, deadline=None, suppress_health_check=SLOW, print_blob=True
)
