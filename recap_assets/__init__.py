"""Recap: curate image-text data with synthetic captions."""

from importlib import import_module

COMPONENTS = {"RecapExperiment": "recap_assets.defs.component"}
"""Dagster components, and the modules that have them; `dg` finds them as `recap_assets.NAME`."""


def __getattr__(name: str) -> object:
    """A component; Dagster is imported where one is asked for, and no sooner."""
    if name in COMPONENTS:
        return getattr(import_module(COMPONENTS[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *COMPONENTS})
