"""The guides' commands work as they stand.

Each ```bash block of a guide is run, one after the other in one shell; ```sh blocks show what this
test cannot run (a GPU, a download), and the text beside them says so.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long(reason="every command of every guide, each a process")

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
SECONDS = 900


def commands(guide: Path) -> str:
    """A shell script of the guide's blocks; each begins with a line that names it."""
    text = guide.read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert blocks, f"{guide.name} has no commands"
    return "\n".join(f"echo '--- block {i + 1}'\n{block}" for i, block in enumerate(blocks))


NEEDS = {"many_machines": ("ray", "the extra ray brings it")}
"""Modules that a guide has its readers install."""


@pytest.mark.parametrize("guide", sorted(GUIDES.glob("*.md")), ids=lambda guide: guide.stem)
def test_the_commands_of_a_guide_work(guide: Path, shared_data: Path, tmp_path: Path) -> None:
    if (needed := NEEDS.get(guide.stem)) is not None:
        pytest.importorskip(needed[0], reason=needed[1])
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("RECAP_")
    }
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
        "PYTHONPATH": str(GUIDES.parents[1]),
        "RECAP_SHARED_DATA": str(shared_data),
        "RECAP_DATA": str(tmp_path / "data"),
    }
    done = subprocess.run(  # noqa: S603 - the repository's own text
        ["bash", "-euo", "pipefail", "-c", commands(guide)],  # noqa: S607
        cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
