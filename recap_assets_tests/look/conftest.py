"""A small pool, built once: with hostile captions, and with samples that were set aside."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from recap_assets.graph.project import Project
from recap_assets.graph.records import NoRecords
from recap_assets.look.app import create_app
from recap_assets.look.gallery import Gallery
from recap_assets_tests.tiny import Bench, tiny_experiment

STAGES = ("world", "models", "pool", "captions", "scores", "mixes", "diversity")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The tiny experiment, up to its mixes; tests that change it work on a copy."""
    bench = Bench(tmp_path_factory.mktemp("look"), tiny_experiment())
    bench.build(*STAGES)
    return bench


def client_of(project: Project) -> TestClient:
    """A browser at the gallery of a project."""
    gallery = Gallery(replace(project, is_read_only=True), NoRecords)
    return TestClient(create_app(gallery), base_url="http://127.0.0.1:3001")


@pytest.fixture
def client(built: Bench) -> Iterator[TestClient]:
    """A browser at the gallery of what was built."""
    with client_of(built.project) as client:
        yield client
