"""Fixtures that every test package shares."""

import atexit
import gc
import logging
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from recap_assets.untrusted import secrets
from recap_assets_tests.gpu import pytest_configure, pytest_runtest_setup  # noqa: F401 - hooks
from recap_assets_tests.order import pytest_collection_modifyitems  # noqa: F401 - a hook
from recap_assets_tests.threads import TEST_THREADS

# Tiny models are slower with several threads, and far slower on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", str(TEST_THREADS))
os.environ.setdefault("RECAP_THREADS", str(TEST_THREADS))
# Of several test processes, threads that spin while they wait keep the others from their work.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# How long an example takes, and how long it takes to draw one, says more of what else the machine
# does than of what is tested.
settings.register_profile(
    "tests", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("tests")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported stays: Python need not look through it for garbage again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.unfreeze)  # libraries look for what was left over when all ends


@pytest.fixture(autouse=True)
def _no_instance_of_another_test() -> Iterator[None]:
    """Dagster keeps the storage of an instance past its end, and then fails when it is asked.

    An instance that is entered twice sets the variable back when the garbage is collected.
    """
    yield
    if module := sys.modules.get("dagster._core.storage.defs_state.base"):
        module._current_storage.set(None)


@pytest.fixture(autouse=True)
def _no_variable_of_another_test() -> Iterator[None]:
    """A session exports what its workers read: the next test would take its deleted files."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys() - {"PYTEST_CURRENT_TEST"}:
        del os.environ[name]
    for name, value in before.items():
        if name != "PYTEST_CURRENT_TEST" and os.environ.get(name) != value:
            os.environ[name] = value


@pytest.fixture(autouse=True)
def _no_secret_of_another_test() -> Iterator[None]:
    """A secret is one for the whole process; another test may print the same word."""
    known, pattern = set(secrets._known), secrets._pattern
    yield
    secrets._known, secrets._pattern = known, pattern


@pytest.fixture(autouse=True)
def _no_logger_is_off() -> None:
    """A library that configures logging in this process may turn off loggers that are there."""
    logging.disable(logging.NOTSET)
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.startswith("recap_assets") and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real pools and evaluation sets, which is never part of the repository."""
    folder = Path(os.environ.get("RECAP_SHARED_DATA", "../shared/data")).resolve()
    if not (folder / "pools").is_dir():
        pytest.skip(f"no real data at {folder}: set RECAP_SHARED_DATA to the folder that holds it")
    return folder
