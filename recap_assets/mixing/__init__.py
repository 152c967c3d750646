"""Thresholds and the selection of captions."""
