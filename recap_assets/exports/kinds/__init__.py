"""A folder or a file for each form of export."""
