"""CoCa of open_clip."""
