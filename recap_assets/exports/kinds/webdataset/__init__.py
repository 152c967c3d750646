"""Tar shards as DataComp's resharder writes them."""
