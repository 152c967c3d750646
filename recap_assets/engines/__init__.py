"""Models: the only place that imports torch."""
