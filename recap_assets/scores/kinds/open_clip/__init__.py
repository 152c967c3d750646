"""CLIP of open_clip."""
