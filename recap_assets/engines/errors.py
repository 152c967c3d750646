"""What the engines raise when a model cannot be used."""


class ModelFileError(RuntimeError):
    """A model is missing, damaged, or of another kind than the experiment says.

    The message names the model, what was tried and what to do about it.
    """
