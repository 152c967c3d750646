"""Where something comes from, and whether it still is what it was."""
