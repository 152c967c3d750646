"""A file or a folder for each kind of set.

The numbers that are defaults of DataComp's filters are those of its `baselines.py`.
"""
