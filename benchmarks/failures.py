"""A pytest plugin: each failure at once into the file $FAILURES, so that a run cut off tells them.

Of a test file with many failures the rest is skipped: they mostly have one cause.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

OF_A_FILE = 6
WORDS = 400
failed: Counter[str] = Counter()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if failed[str(item.path)] >= OF_A_FILE:
        pytest.skip("enough of this file failed")


def tell(line: str) -> None:
    with Path(os.environ["FAILURES"]).open("a") as file:
        file.write(f"{line}\n")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Tell of a file that does not import, once: workers of xdist pass it on."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        tell(f"{report.nodeid} | not collected: {' '.join(report.longreprtext.split())[-WORDS:]}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # noqa: ANN201
    report = yield
    if report.failed and call.excinfo is not None:
        failed[str(item.path)] += 1
        where = [f"{one.path.name}:{one.lineno + 1}" for one in call.excinfo.traceback][-7:]
        words = " ".join(str(call.excinfo.value).split())[:WORDS]
        tell(f"{item.nodeid} | {call.excinfo.typename}: {words} | {' > '.join(where)}")
    return report
