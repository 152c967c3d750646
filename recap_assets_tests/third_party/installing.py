"""Packages that are there without pip: what it would leave, in a folder of a test."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoints
from pathlib import Path

import pytest

from recap_assets.sets.kinds.image_based import ImageBased
from recap_assets.specs import kinds, uses
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.kinds import kinds_of
from recap_assets.specs.mixes import Mix, Rule


def install(
    site: Path,
    patch: pytest.MonkeyPatch,
    name: str,
    points: Mapping[str, Mapping[str, str]],
    version: str = "1.2",
) -> None:
    """What pip leaves of a distribution whose code is elsewhere; its points by family and word."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines: list[str] = []
    for family, words in points.items():
        lines += [f"[recap.{family}]", *(f"{word} = {where}" for word, where in words.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    patch.syspath_prepend(str(site))
    look_again()


@contextmanager
def uninstalled() -> Iterator[None]:
    """No other package gives a kind within the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("importlib.metadata.entry_points", lambda: EntryPoints(()))
        look_again()
        yield
    look_again()


def look_again() -> None:
    """Find the kinds that there are now; a process of its own does so once."""
    kinds._entry_points.cache_clear()
    kinds_of.cache_clear()
    uses.read_use.cache_clear()
    conditions = [kind.spec for kind in kinds_of("conditions").values() if kind.spec is not None]
    specs = [*conditions, ImageBased, Rule, Mix, Experiment]
    for spec in specs:
        # All at first: what one is built with would else hold what another was built with.
        for name in ("core_schema", "validator", "serializer"):
            if f"__pydantic_{name}__" in vars(spec):
                delattr(spec, f"__pydantic_{name}__")
        spec.__pydantic_complete__ = False
    for spec in specs:
        spec.model_rebuild(force=True)
