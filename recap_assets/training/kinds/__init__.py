"""A folder for each launcher."""
