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


def pytest_configure(config: pytest.Config) -> None:
    """Tell of files that do not import, once: workers of xdist pass them on."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Unread())


class Unread:
    """Tells of each file that does not import."""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            words = " ".join(report.longreprtext.split())[-WORDS:]
            tell(f"{report.nodeid} | not collected: {words}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # noqa: ANN201
    report = yield
    if report.failed and call.excinfo is not None:
        failed[str(item.path)] += 1
        where = [f"{one.path.name}:{one.lineno + 1}" for one in call.excinfo.traceback][-7:]
        words = " ".join(str(call.excinfo.value).split())[:WORDS]
        tell(f"{item.nodeid} | {call.excinfo.typename}: {words} | {' > '.join(where)}")
    return report
