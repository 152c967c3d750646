"""Captions that somebody else wrote, joined to the pool."""
