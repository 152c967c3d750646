"""open_clip's models, tokenizers and preprocessing, for captioners, scorers and training."""
