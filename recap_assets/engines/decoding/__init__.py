"""From a captioning model to captions: loops whose draws depend on seed and uid alone."""
