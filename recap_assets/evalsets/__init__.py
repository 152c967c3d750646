"""Evaluation sets as they are in files."""
