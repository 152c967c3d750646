"""Curated mixes: which caption of which image is trained on."""
