"""A web server for each test file."""

from collections.abc import Iterator

import pytest

from recap_assets_tests.pool.kinds.urls.web import Web, served


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with served() as web:
        yield web
