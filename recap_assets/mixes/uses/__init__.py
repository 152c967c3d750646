"""Uses: which captions a rule takes of the images that it accepts."""
