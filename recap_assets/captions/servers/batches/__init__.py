"""Batches of a provider: requests in a file, answered within a day at a lower price."""
