"""Searches for the settings of a mix that train the best CLIP."""
