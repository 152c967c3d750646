"""Training loops: a CLIP on image-text pairs, a captioner on a frozen image tower."""
