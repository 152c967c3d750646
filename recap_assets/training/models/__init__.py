"""Models that the platform trains itself: scorers, image towers, captioners."""
