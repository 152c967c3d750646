"""The kinds of corpora."""
