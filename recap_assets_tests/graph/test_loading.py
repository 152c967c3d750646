"""Dispatch by kind, and what it costs to import."""

import subprocess
import sys

import pytest

from recap_assets.captions.kinds.trained import EmbeddedSource
from recap_assets.engines.errors import ModelFileError
from recap_assets.graph.loading import load_scorer
from recap_assets.specs.scorers import EmbeddedScorer
from recap_assets_tests.captions.opening import load_captioner


def test_importing_it_does_not_import_torch():
    code = (
        "import sys, recap_assets.graph.loading as _; "
        "sys.exit(', '.join({'torch', 'transformers', 'open_clip'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    assert done.returncode == 0, done.stderr


def test_embedded_models_are_looked_for_in_the_folder_of_models(tmp_path):
    source = EmbeddedSource(kind="embedded", model="captioner_a")
    with pytest.raises(ModelFileError, match=str(tmp_path / "captioner_a")):
        load_captioner(source, tmp_path)
    with pytest.raises(ModelFileError, match=str(tmp_path / "clip_a")):
        load_scorer(EmbeddedScorer(kind="embedded", model="clip_a"), tmp_path)
