"""Words, n-grams, nouns: how varied captions are."""
