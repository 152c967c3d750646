"""The tables of kinds in the pages of the families, made from the registry.

`python -m recap_assets_tests.assembly.family_pages` writes them again.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import recap_assets
from recap_assets.specs.kinds import FAMILIES, kinds_of

ROOT = Path(recap_assets.__file__).parent
TABLE = re.compile(r"(?<=<!-- kinds: )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)
EXAMPLE = re.compile(r"^```python (\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    """The page of every family."""
    return sorted(ROOT.glob("*/README.md"))


def examples() -> Iterator[tuple[str, str]]:
    """Family and code of the smallest kinds that the pages show."""
    for page in pages():
        yield from EXAMPLE.findall(page.read_text())


def with_tables(text: str) -> str:
    """A page, its tables as the registry has them."""
    return TABLE.sub(lambda found: f"{found[1]}{found[2]}{table(found[1])}", text)


def table(family: str) -> str:
    """A line for each kind: what names it, and what it is."""
    field = FAMILIES[family].field
    lines = [f"| {FAMILIES[family].called} | |\n", "| --- | --- |\n"]
    for name, kind in kinds_of(family).items():
        word = f"{field}: {name}" if field else name
        lines.append(f"| `{word}` | {kind.summary} |\n")
    return "".join(["\n", *lines, "\n"])


if __name__ == "__main__":
    for page in pages():
        page.write_text(with_tables(page.read_text()))
