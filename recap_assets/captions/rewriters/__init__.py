"""What writes a text from other texts of an image."""
