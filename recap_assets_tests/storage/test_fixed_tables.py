"""Tables that are opened once are those of the first look, and are not written."""

from pathlib import Path

import pytest

from recap_assets.artefacts.scores import CLIP_SCORES, SCORE_HISTOGRAMS
from recap_assets.storage.errors import StorageError
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.storage.test_tables import AT, scores


def test_what_is_committed_after_the_first_look_is_not_seen(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, "fixed")
    workspace.tables.replace(CLIP_SCORES, AT, scores(0.5))
    fixed = workspace.fixed().tables
    assert fixed.read(SCORE_HISTOGRAMS).is_empty()
    assert fixed.read(CLIP_SCORES)["score"].to_list() == [0.5]
    first = fixed.version(CLIP_SCORES)
    workspace.tables.replace(CLIP_SCORES, AT, scores(0.25))
    assert fixed.read(CLIP_SCORES)["score"].to_list() == [0.5]
    assert fixed.version(CLIP_SCORES) == first
    assert fixed.read(CLIP_SCORES, workspace.tables.version(CLIP_SCORES))["score"][0] == 0.25
    assert workspace.fixed().tables.read(CLIP_SCORES)["score"].to_list() == [0.25]


def test_they_are_not_written(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, "fixed")
    workspace.tables.replace(CLIP_SCORES, AT, scores(0.5))
    with pytest.raises(StorageError, match=r"clip_scores at .* is opened to be read only"):
        workspace.fixed().tables.replace(CLIP_SCORES, AT, scores(0.25))
    assert workspace.tables.read(CLIP_SCORES)["score"].to_list() == [0.5]
