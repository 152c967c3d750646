"""Faults put into builds of a small experiment: `python -m recap_assets_tests.faults --help`.

Each fault begins from nothing or from a half-built state, and ends in: every table reads in plain
polars, the next build completes, and the content is that of an undisturbed build.
"""
