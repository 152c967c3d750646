"""A pool from a list of URLs: the list, its plan of shards, fetching by img2dataset, the shards."""
