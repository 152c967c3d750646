"""Captioners of transformers: the models are the library's, decoding is our own (`decoding.py`).

`generate` draws from one generator for the whole batch, so a caption would change with its
neighbours. A room for each family; `loading` reads files and chooses among them.
"""
