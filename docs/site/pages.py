"""The pages of the documentation site: those in docs/, the READMEs, and what is made from code.

`python docs/site/pages.py FOLDER` writes them, with links that hold within the site. Nothing but
markdown, pictures and one schema is written, so the tool that makes HTML of it can be another one.
"""

import posixpath
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from experiment_file import experiment_page
from notebook import notebook_page

REPOSITORY = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(!?)\[([^\]\[]*(?:\[[^\]]*\][^\]\[]*)*)\]\(([^)\s]+)\)")

COMMANDS = """# The command line

Every command, from the code. `recap COMMAND --help` says the same, and what `--json` prints is on a
[page of its own](json.md).

Names of assets, mixes, exports, sources and recipes are completed by the tabulator key, from the
experiment that the line names. Put one line into the file that your shell reads when it starts:

```sh
eval "$(_RECAP_COMPLETE=bash_source recap)"                    # ~/.bashrc
eval "$(_RECAP_COMPLETE=zsh_source recap)"                     # ~/.zshrc
_RECAP_COMPLETE=fish_source recap | source                     # ~/.config/fish/config.fish
```

::: mkdocs-click
    :module: recap_assets.cli.main
    :command: recap
    :prog_name: recap
    :depth: 1
    :style: plain
    :list_subcommands: true
"""

OF_REPOSITORY = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
}


def page_of_each_file() -> Mapping[PurePosixPath, PurePosixPath]:
    """From a file of the repository to its page; both relative, to the repository and the site."""
    found = {PurePosixPath(file): PurePosixPath(page) for file, page in OF_REPOSITORY.items()}
    for path in sorted((REPOSITORY / "docs").rglob("*")):
        at = PurePosixPath(path.relative_to(REPOSITORY / "docs").as_posix())
        if path.is_file() and at.parts[0] != "site":
            to = "contents.md" if at.name == "README.md" and len(at.parts) == 1 else at
            to = PurePosixPath(to).with_suffix(".md") if at.suffix == ".ipynb" else to
            found[PurePosixPath("docs") / at] = PurePosixPath(to)
    for path in sorted((REPOSITORY / "recap_assets").glob("*/README.md")):
        room = path.parent.name
        found[PurePosixPath(f"recap_assets/{room}/README.md")] = PurePosixPath(f"rooms/{room}.md")
    return found


def relinked(text: str, file: PurePosixPath, pages: Mapping[PurePosixPath, PurePosixPath]) -> str:
    """The text of a file with links to pages, and without those to files that are none.

    Args:
        text: Markdown.
        file: Where it lies in the repository.
        pages: See `page_of_each_file`.

    Raises:
        ValueError: A link leads to a file that is not there.
    """
    here = pages[file]

    def link(match: re.Match[str]) -> str:
        mark_of_image, words, target = match.groups()
        at, mark, anchor = target.partition("#")
        if not at or "://" in at or at.startswith("mailto:"):
            return match.group()
        to = PurePosixPath(posixpath.normpath(posixpath.join(file.parent, at)))
        if page := pages.get(to):
            return f"{mark_of_image}[{words}]({posixpath.relpath(page, here.parent)}{mark}{anchor})"
        if not (REPOSITORY / to).exists():
            msg = f"{file}: no file for the link to {target}"
            raise ValueError(msg)
        return words

    return LINK.sub(link, text)


def write(folder: Path) -> None:
    """Write all pages into an empty folder.

    Raises:
        ValueError: A link leads to a file that is not there.
    """
    pages = page_of_each_file()
    for file, page in pages.items():
        to = folder / page
        to.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix in (".md", ".ipynb"):
            text = _text_of(REPOSITORY / file, to.parent)
            to.write_text(relinked(text, file, pages), encoding="utf-8")
        else:
            shutil.copyfile(REPOSITORY / file, to)
    (folder / "command_line.md").write_text(COMMANDS, encoding="utf-8")
    (folder / "experiment_file.md").write_text(experiment_page(), encoding="utf-8")


def _text_of(file: Path, folder: Path) -> str:
    """The markdown of a file; a notebook's pictures go into the folder of its page."""
    if file.suffix == ".ipynb":
        return notebook_page(file, folder)
    return file.read_text(encoding="utf-8")


if __name__ == "__main__":
    at = Path(sys.argv[1])
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir(parents=True)
    write(at)
