"""Texts that begin with the name of their source (prefix conditioning).

Saito et al. 2023 (arXiv 2206.01125) learn a token for each data set, and evaluate with that of the
curated captions. Here it is the source's name as a word, so that any tower and tokenizer takes it
and a saved model needs nothing beside it.
"""

from recap_assets.specs.left_out import captions_used
from recap_assets.specs.mixes import Mix


def with_prefix(source: str, text: str) -> str:
    """A text that says whose it is."""
    return f"{source} : {text}"


def prefix_of(mix: Mix, wanted: str) -> str:
    """The source whose prefix a model of this mix is evaluated with.

    Where the mix has no text of the source asked for, its model never saw that prefix: then it is
    the mix's first source.
    """
    sources = captions_used(mix)
    return wanted if wanted in sources else sources[0]
