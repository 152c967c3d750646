"""The order in which test files start: those that take longest first.

Of several processes the one that comes to a long file last would keep the others waiting. A file
that is not listed starts after these, in the order of names. Where only tests with a mark are run,
only the files that name it are imported, so that a file must name the marks of its tests.
"""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LONGEST_FIRST = (
    # Of `make test-long`, by the clock: much of it is waiting.
    "defs/remote/test_builds.py",
    "rebuilding/test_doors.py",
    "test_benchmarks.py",
    "defs/test_daemon.py",
    "guides/test_guides.py",
    "rebuilding/test_catalogue.py",
    "defs/remote/test_smoke.py",
    "storage/test_store_claims.py",
    "defs/remote/test_budget.py",
    "recipes/test_real.py",
    "recipes/test_smoke_first.py",
    "recipes/test_smoke_second.py",
    "assembly/test_fields.py",
    "assembly/forgetting/test_kills.py",
    "defs/test_two_hosts.py",
    "defs/test_doors.py",
    "defs/test_only.py",
    "defs/test_killed_builds.py",
    "cli/test_stranger.py",
    "defs/remote/test_daemon.py",
    "defs/test_races.py",
    "defs/test_end_to_end.py",
    "defs/test_restoring.py",
    "defs/test_gpu_workers.py",
    "defs/test_interrupted_builds.py",
    # By processor time, 5 seconds and more.
    "captions/kinds/transformers/test_families.py",
    "captions/kinds/transformers/test_beams.py",
    "exports/test_contract.py",
    "captions/test_decoding.py",
    "sets/test_contract.py",
    "captions/kinds/imported/test_assets.py",
    "captions/kinds/transformers/test_batching.py",
    "sets/test_assets.py",
    "mixes/test_columns.py",
    "sets/test_filters_of_datacomp.py",
    "exports/test_folders.py",
    "assembly/test_pipeline.py",
    "look/test_thresholds.py",
    "look/test_pages.py",
    "look/test_comparing.py",
    "captions/kinds/test_reranked.py",
    "training/test_seen.py",
    "cli/test_exporting.py",
    "pool/kinds/urls/test_fetching.py",
    "evaluation/test_assets.py",
    "sets/test_counted.py",
    "assembly/test_rebuild.py",
    "pool/test_bad_input.py",
    "exports/test_webdataset.py",
    "defs/automation/test_conditions.py",
    "training/engine/test_captioner.py",
    "third_party/test_sets.py",
)
"""`make test` and `make test-long` print the ten slowest tests."""

FOUND_BY_NAME = ("long", "bits")
"""Marks whose files the Makefile finds by them."""

_PLACES = {TESTS / name: place for place, name in enumerate(LONGEST_FIRST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by file; within a file the order stays.

    Raises:
        LookupError: A test has a mark that its file does not name.
    """
    for mark in FOUND_BY_NAME:
        for path in {item.path for item in items if item.get_closest_marker(mark)}:
            if f"mark.{mark}" not in path.read_text():
                msg = f"{path}: write `mark.{mark}` in it, by which the Makefile finds its tests"
                raise LookupError(msg)
    items.sort(key=lambda item: _PLACES.get(item.path, len(_PLACES)))
