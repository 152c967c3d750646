"""A notebook as a page of the site, and again with the outputs of what it reads now.

`python docs/site/notebook.py FILE` runs a notebook and keeps its outputs; `TABLES` names the
tables. The page is made without Jupyter, of the outputs that the file has.
"""

import base64
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SECONDS = 600
"""For one cell."""


def run(file: Path) -> None:
    """Run a notebook where it is started from, and write it with its outputs."""
    import nbformat  # noqa: PLC0415 - the page needs neither of the two
    from nbclient import NotebookClient  # noqa: PLC0415

    notebook = nbformat.read(file, as_version=4)
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3").execute()
    for cell in notebook.cells:
        cell.metadata = {}  # when it ran is of no interest
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "language_info": _PYTHON}
    nbformat.write(notebook, file)


_PYTHON = {"name": "python"}


def notebook_page(file: Path, pictures: Path) -> str:
    """The notebook in markdown; its pictures are written beside the page.

    Args:
        file: A notebook.
        pictures: The folder of the page.
    """
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    parts = [part for number, cell in enumerate(cells) for part in _cell(cell, number, pictures)]
    return "\n\n".join(parts) + "\n"


def _cell(cell: Mapping[str, Any], number: int, pictures: Path) -> Iterator[str]:
    source = "".join(cell["source"]).strip()
    if cell["cell_type"] != "code":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        yield from _output(output, f"output_{number}.png", pictures)


def _output(output: Mapping[str, Any], name: str, pictures: Path) -> Iterator[str]:
    data = output.get("data", {})
    if "image/png" in data:
        pictures.mkdir(parents=True, exist_ok=True)
        (pictures / name).write_bytes(base64.b64decode("".join(data["image/png"])))
        yield f'<img src="{name}" alt="Output of the cell above">'
    elif text := "".join(data.get("text/plain", output.get("text", ""))).rstrip():
        yield f"```text\n{text}\n```"


if __name__ == "__main__":
    run(Path(sys.argv[1]))
