"""Synthetic captions of every usable image."""
