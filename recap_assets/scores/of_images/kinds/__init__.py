"""A folder for each kind of image scorer."""
