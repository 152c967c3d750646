"""Parquet with a dataset card and Croissant metadata."""
