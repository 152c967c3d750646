"""The layers of the architecture: the linter's contracts in pyproject.toml, and who knows kinds."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

REPOSITORY = Path(__file__).parents[1]

REGISTRY = "recap_assets.specs.kinds"
NAMED_BY_A_COMMAND = {("recap_assets.cli.installing", "recap_assets.pool.kinds.urls.tool")}
"""`recap install-img2dataset` installs what this one kind needs."""


def test_arrows_point_down(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(REPOSITORY)
    status = lint_imports(no_cache=True)
    printed = capsys.readouterr().out
    assert status == EXIT_STATUS_SUCCESS, printed
    assert "Contracts: 3 kept, 0 broken." in printed


def test_a_kind_is_known_to_its_registry_alone() -> None:
    """No module imports one of a `kinds` folder, but those of the same folder."""
    asked = {
        (module, target)
        for module, target in imports()
        if ".kinds." in f"{target}."
        and target != REGISTRY
        and not module.startswith(target[: target.index(".kinds")] + ".kinds")
    }
    assert asked == NAMED_BY_A_COMMAND


def test_no_file_is_reached_from_itself() -> None:
    """Imports inside of functions count, and those for types alone."""
    found = list(imports())
    modules = {module for module, _ in found}
    reads: dict[str, set[str]] = {}
    for module, target in found:
        package = f"{target}.__init__"
        reads.setdefault(module, set()).add(package if package in modules else target)
    TopologicalSorter(reads).prepare()  # raises CycleError, which names the files


def imports() -> Iterator[tuple[str, str]]:
    """Each module of the package with each module that it imports, wherever in it."""
    for path in (REPOSITORY / "recap_assets").rglob("*.py"):
        module = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield from ((module, _imported(node.module, name.name)) for name in node.names)
            elif isinstance(node, ast.Import):
                yield from ((module, name.name) for name in node.names)


@cache
def _imported(module: str, name: str) -> str:
    """The file that a name comes from: a module of a package, or what defines it."""
    inside = REPOSITORY / f"{module}.{name}".replace(".", "/")
    return f"{module}.{name}" if inside.is_dir() or inside.with_suffix(".py").exists() else module
