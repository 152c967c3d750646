"""A file or folder for each kind of rewriter."""
