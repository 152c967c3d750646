"""Corpora that the platform's own models learn from."""
