"""Evaluation sets as they lie in files."""
