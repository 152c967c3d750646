"""Image-text pairs as they are in files: shards, folders, images, metadata."""
