"""Image-text pairs as they come: shards, folders, images, metadata."""
