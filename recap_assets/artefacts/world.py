"""What the embedded world draws: the pool's shards, corpora, evaluation sets."""

from recap_assets.artefacts.table import Files

EMBEDDED_WORLD = Files("embedded_world")
POOL_KEY = EMBEDDED_WORLD.key("pool")

POOL_FOLDER = "pool"
"""Of the drawn shards, below the folder of the world."""


def corpus_key(name: str) -> str:
    """Key of a corpus's asset."""
    return EMBEDDED_WORLD.key("corpora", name)


def task_key(name: str) -> str:
    """Key of an evaluation set's asset."""
    return EMBEDDED_WORLD.key("evaluation", name)
