"""One module a stage: read, call one function, write."""
