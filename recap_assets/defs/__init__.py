"""Dagster: the only place that imports it."""
