"""Workers on other machines: actors of a Ray cluster, each with one model on its GPUs."""
