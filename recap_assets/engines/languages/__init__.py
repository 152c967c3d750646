"""Language identification by small models."""
