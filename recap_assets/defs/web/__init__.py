"""Dagster's web server behind a guard: it has no login, so no other page may speak through you."""
