"""The graph of an experiment, all families together, and what leaves it."""
