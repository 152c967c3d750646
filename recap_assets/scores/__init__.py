"""Image embeddings, and how well each caption fits its image."""
