"""A folder or a file for each kind of language identifier."""
