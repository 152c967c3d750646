"""Partitions that workers of a Ray cluster compute."""
