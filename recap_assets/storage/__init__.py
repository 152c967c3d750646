"""Delta tables and files, local or on an object store."""
