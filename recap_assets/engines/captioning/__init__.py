"""Captioners: sampling that depends on seed and uid alone, and the models that use it."""
