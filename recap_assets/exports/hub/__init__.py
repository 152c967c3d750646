"""An export in a repository of the Hugging Face Hub: only what changed is sent, its list last."""
