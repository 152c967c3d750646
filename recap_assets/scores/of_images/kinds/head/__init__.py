"""Linear heads over image embeddings."""
