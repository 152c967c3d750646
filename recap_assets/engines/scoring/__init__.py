"""Scorers: models that embed images and texts into one space."""
