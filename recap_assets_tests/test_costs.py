"""docs/scale.md has the costs as `benchmarks/costs.py` computes them from measured rates."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "costs.py"


@pytest.fixture(scope="module")
def costs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("costs", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def printed(*options: str) -> list[str]:
    command = [sys.executable, str(SCRIPT), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own script
    return [line for line in done.stdout.splitlines() if line]


def test_the_page_has_what_is_printed() -> None:
    page = (ROOT / "docs" / "scale.md").read_text().splitlines()
    lines = printed()
    assert len(lines) > 15
    first = page.index(lines[0])
    n = next(i for i, line in enumerate(page[first:]) if not line.startswith("|"))
    assert page[first : first + n] == lines[:n]
    assert set(lines) <= set(page)


def test_hours_and_dollars_follow_from_the_rate(costs: ModuleType) -> None:
    (line,) = (one for one in printed("--price", "2") if "| 144 |" in one)
    assert pytest.approx(24.6, abs=0.01) == 12_800_000 / 144.5 / 3_600
    assert "24.6 h, $49.2" in line
    assert line.endswith("| 2.46 h | measured (a) |")
    assert costs.RATES[0].is_measured


def test_what_is_derived_says_so_and_is_no_more_than_its_arithmetic(costs: ModuleType) -> None:
    derived = {(rate.work, rate.gpu): rate for rate in costs.RATES if not rate.is_measured}
    limit = derived[costs.BLIP2, "H200"]
    assert limit.images == pytest.approx(742e12 / 907e9)
    assert derived[costs.BLIP2, "A100"].images == pytest.approx(144.5 * 312 / 989)
    lines = [line for line in printed() if "derived (" in line]
    assert len(lines) == len(derived) + 1  # the hashes


def test_hashes_take_the_blocks_that_cost_least(costs: ModuleType) -> None:
    by_hand = 210 * (1e8 * 20e-9 + 1e16 / 2 / 2**25.6 * 2.5e-9)
    assert costs.of_hashes(1e8) == pytest.approx(by_hand)
