"""The whole experiment at its smallest, built once for the tests of a file."""

from collections.abc import Iterator

import pytest

from recap_assets_tests.defs.counting_kinds import POINTS
from recap_assets_tests.rebuilding.edited import Edited, first_built
from recap_assets_tests.registering import registered


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edited]:
    """With kinds that count what they are asked, which are registered while the file is tested."""
    folder = tmp_path_factory.mktemp("rebuilding")
    families = [f"[recap.{family}]\n" + "\n".join(points) for family, points in POINTS.items()]
    with registered(folder / "site", "tasks", *families):
        yield first_built(folder / "first")
