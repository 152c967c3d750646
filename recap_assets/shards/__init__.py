"""Image-text pairs as they lie in files: shards, folders, images, metadata."""
