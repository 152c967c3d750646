"""Image classifiers of transformers."""
