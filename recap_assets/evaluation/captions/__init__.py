"""How good captions are by reference metrics."""
