"""Rows from which a rewriter learns: an alt-text, a clean caption, and both in one.

As in CapsFusion (arXiv 2310.20550) the alt-text knows names and the caption has the structure: the
fused text is the caption, but that a thing has its fine name where the alt-text calls it so. What
the alt-text says of another scene changes nothing.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recap_assets.storage.files import write_atomically
from recap_assets.world import texts
from recap_assets.world.scenes import FINE, World, draw_scene, stream, world_of


@dataclass(frozen=True)
class Fusing:
    """One row.

    Attributes:
        raw: An alt-text, as noisy as those of the pool.
        caption: A clean caption, in which rare classes have coarse names.
        fused: The same caption with the fine names that `raw` has for its things.
    """

    raw: str
    caption: str
    fused: str


def fusing(world: World, number: int) -> Fusing:
    """The row of a number, from 0: a function of it and the world alone."""
    rng = stream(world.seed, "rewriting", number)
    scene = draw_scene(rng, world)
    _, raw = texts.raw_text(rng, scene, world)
    broad = texts.name_probabilities(world, "broad")
    state = rng.getstate()
    caption = texts.clean_caption(rng, scene, broad)
    rng.setstate(state)
    return Fusing(raw, caption, texts.clean_caption(rng, scene, _with_names(raw, broad)))


def write_rows(path: Path, seed: int, samples: int) -> None:
    """Write rows as JSON lines with `raw`, `caption` and `fused`, whole or not at all."""
    world = world_of(seed)
    rows = (vars(fusing(world, number)) for number in range(samples))
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lines.encode())


def _with_names(raw: str, otherwise: Sequence[float]) -> Sequence[float]:
    said = {*re.findall(r"\w+", raw.lower())}
    named = [not said.isdisjoint({fine.name, fine.plural}) for fine in FINE]
    return [1.0 if is_named else p for is_named, p in zip(named, otherwise, strict=True)]
