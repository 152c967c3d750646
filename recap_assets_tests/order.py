"""The order in which test files start: those that take longest first.

Of several processes the one that comes to a long file last would keep the others waiting. A file
that is not listed starts after these, in the order of names.
"""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LONGEST_FIRST = (
    "captions/kinds/transformers/test_families.py",
    "captions/kinds/transformers/test_beams.py",
    "defs/test_end_to_end.py",
    "assembly/test_rebuild.py",
    "captions/kinds/transformers/test_batching.py",
    "captions/test_decoding.py",
    "defs/test_restoring.py",
    "defs/test_building.py",
    "assembly/test_pipeline.py",
    "pool/kinds/urls/test_fetching.py",
    "cli/test_reproducing.py",
    "sets/test_assets.py",
    "captions/kinds/imported/test_assets.py",
    "captions/kinds/test_reranked.py",
    "cli/test_read_only.py",
    "evaluation/test_assets.py",
    "sets/test_filters_of_datacomp.py",
    "training/engine/test_clip.py",
)
"""By processor time, 20 seconds and more; `make test` prints the ten slowest tests."""

_PLACES = {TESTS / name: place for place, name in enumerate(LONGEST_FIRST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by file; within a file the order stays."""
    items.sort(key=lambda item: _PLACES.get(item.path, len(_PLACES)))
