"""Captioners of transformers: the models are the library's, decoding is our own."""
