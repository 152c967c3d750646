"""The kinds of uses."""
