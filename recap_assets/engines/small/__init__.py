"""The small convolutional CLIP and the captioner on top of it, which the platform trains itself."""
