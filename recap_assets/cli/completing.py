"""Names that a shell completes: assets, mixes, exports and recipes.

What cannot be read completes nothing: a shell has no place for an error.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click

from recap_assets.cli.chosen import NAMED_AFTER, Chosen
from recap_assets.untrusted.errors import RecapError


def assets(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Keys of assets that begin so, or whose last part does."""
    with suppress(RecapError, OSError, ValueError):
        keys = list(Chosen(*_named(context)).reading().graph.nodes)
        whole = [key for key in keys if key.startswith(begun)]
        return whole or [key for key in keys if key.rpartition("/")[2].startswith(begun)]
    return []


def mixes(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of mixes."""
    return _of_file(context, begun, "mixes")


def mixes_and_exports(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of mixes, and of exports that the file declares."""
    return _of_file(context, begun, "mixes", "exports")


def sources(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of caption sources."""
    return _of_file(context, begun, "sources")


def recipe_words(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of recipes."""
    from recap_assets.specs.recipe_book import recipes

    return _beginning(begun, (one.word for one in recipes()))


def _of_file(context: click.Context, begun: str, *sections: str) -> list[str]:
    with suppress(RecapError, OSError, ValueError):
        from recap_assets.specs.loading import load_experiment

        chosen = Chosen(*_named(context))
        experiment = load_experiment(chosen.path, chosen.settings)
        names = dict.fromkeys(name for one in sections for name in getattr(experiment, one))
        return _beginning(begun, names)
    return []


def _beginning(begun: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(begun)]


def _named(context: click.Context) -> tuple[Path | None, tuple[str, ...]]:
    """The experiment and the settings that the line names so far, before the command or after."""
    whole = context.find_root().params
    named = context.meta.get(NAMED_AFTER) or whole.get("experiment")
    return named, tuple(whole.get("settings") or ())
