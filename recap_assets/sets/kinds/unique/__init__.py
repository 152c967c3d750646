"""One sample of each group that shows the same image."""
