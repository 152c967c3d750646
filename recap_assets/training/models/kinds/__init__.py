"""Kinds of models that are trained here."""
