"""The gallery: images with their captions, scores and mixes, on pages that only read."""
