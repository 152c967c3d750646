"""The kinds of conditions."""
