"""Scores of the image alone: aesthetics, unsafe content, watermarks."""
