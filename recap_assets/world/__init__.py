"""The embedded world: drawn images, noisy texts, corpora and evaluation sets."""
