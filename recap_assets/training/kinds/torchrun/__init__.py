"""open_clip's own trainer, started by torchrun."""
