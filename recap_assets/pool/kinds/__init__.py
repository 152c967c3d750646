"""A folder for each kind of pool that makes its shards."""
