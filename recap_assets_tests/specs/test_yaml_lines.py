"""A message names the line of the key that it is about."""

from pathlib import Path

import pytest

from recap_assets.specs.loading import ExperimentError, load_experiment
from recap_assets.specs.yaml_lines import line_of
from recap_assets.specs.yaml_text import node_of

FILE = """\
name: mine
pool: &pool
  kind: webdataset

  shards: ${SHARDS:-shards}
mixes:
  a:
    - use: raw
      where: {top: 0.3}
  b: {rules: [{use: raw},
              {use: raw}]}
other: {<<: *pool, kind: folder}
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("name", 1),
        ("pool.shards", 5),
        ("mixes.a.rules.0.where.top", 9),
        ("mixes.a.0.where", 9),
        ("mixes.b.rules.1.use", 11),
        ("mixes.a.0.where.missing", 9),
        ("mixes.a.7", 7),
        ("other.kind", 12),
        ("other.shards", 5),
        ("nothing.here", None),
    ],
)
def test_the_line_is_that_of_the_last_key_that_is_written(keys: str, line: int | None) -> None:
    root = node_of(FILE.encode())
    assert root is not None
    assert line_of(root, keys.split(".")) == line


BASE = """\
name: mine
pool: {kind: embedded, samples: 10}
corpora:
  pairs: {kind: embedded, style: scorer, samples: 20}
models:
  scorer: {kind: clip, corpus: pairs, samples_seen: 64}
scorers:
  clip: {kind: embedded, model: scorer}
mixes:
  raw: [{use: raw}]
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("samples: 20", "samples: many", ":4: corpora.pairs.samples: "),
        ("model: scorer", "model: scored", ":8: scorers.clip.model: "),
        ("[{use: raw}]", "[{use: blip3}]", ":10: mixes.raw.rules.0.use: "),
        ("mixes:", "mixs:", ":9: mixs: unknown key"),
    ],
)
def test_an_error_begins_with_file_and_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(BASE)
    load_experiment(file)
    file.write_text(BASE.replace(old, new))
    with pytest.raises(ExperimentError) as caught:
        load_experiment(file)
    assert f"{file}{said}" in str(caught.value)


def test_a_setting_laid_over_the_file_has_no_line_there(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(BASE)
    with pytest.raises(ExperimentError, match=r"mine\.yaml: corpora\.pairs\.samples: "):
        load_experiment(file, ["corpora.pairs.samples=many"])
