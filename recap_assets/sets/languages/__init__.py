"""The language of texts, by small models."""
