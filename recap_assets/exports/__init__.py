"""Datasets in the forms that the field's own tools read."""
