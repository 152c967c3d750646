"""A pool from a list of URLs: its plan of shards, fetching by img2dataset, the shards."""
