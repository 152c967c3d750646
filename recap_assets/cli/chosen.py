"""What every command is given: the options before it, and the experiment, before it or after it."""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recap_assets.specs.found import default_experiment, named_experiment

if TYPE_CHECKING:
    from recap_assets.defs.session import Session


@dataclass(frozen=True)
class Chosen:
    """What the options say.

    Attributes:
        named: The experiment file; None where none was named.
        settings: Settings laid over it.
        data: The data folder; None where none was named.
    """

    named: Path | None
    settings: tuple[str, ...]
    data: Path | None = None

    @cached_property
    def path(self) -> Path:
        """The experiment file.

        Raises:
            ExperimentError: None was named, and none is found here.
        """
        return named_experiment(self.named) if self.named else default_experiment()

    def session(self, against: Path | None = None, *, only_reads: bool = False) -> "Session":
        """The experiment, opened. What it takes is imported here: `recap --help` is quick.

        Args:
            against: Another experiment's file, whose results it is compared with.
            only_reads: Whether the command makes nothing where nothing was built yet.
        """
        from recap_assets.defs.session import Session

        session = Session(self.path, self.settings, against, only_reads)
        _OPENED.append(self)
        session.export()
        return session

    def reading(self, against: Path | None = None) -> "Session":
        """The experiment, opened by a command that only reads."""
        return self.session(against, only_reads=True)

    def typed(self, command: str) -> str:
        """A command for the same experiment and data folder, as one types it in this folder."""
        words = ["recap"]
        if self.named is not None:
            words += ["-e", str(self.named)]
        for setting in self.settings:
            words += ["--set", setting]
        if self.data is not None:
            words += ["--data", str(self.data)]
        return f"{shlex.join(words)} {command}"


NAMED_AFTER = "recap.experiment"
"""Under this name a context keeps the file that was named after the command."""
_OPENED: list[Chosen] = []


def opened() -> Path | None:
    """The experiment file that this process opened last."""
    return _OPENED[-1].path.absolute() if _OPENED else None


def typed(command: str) -> str:
    """A command to type next, with the options by which the experiment was opened last."""
    return _OPENED[-1].typed(command) if _OPENED else f"recap {command}"


def of_experiment(command: Callable[..., object]) -> Callable[..., object]:
    """A command that is given a `Chosen`; options before its name may be written after it."""
    experiment = click.option(
        "--experiment",
        "-e",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_choose,
        help="Experiment file, as before the command.",
    )
    settings = click.option(
        "--set",
        multiple=True,
        metavar="KEY.PATH=VALUE",
        expose_value=False,
        callback=_lay_over,
        help="A setting laid over the file, as before the command.",
    )
    data = click.option(
        "--data",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_choose_data,
        help="Data folder, as before the command.",
    )
    return experiment(settings(data(click.pass_obj(command))))


def _choose(context: click.Context, _option: click.Parameter, path: Path | None) -> None:
    context.meta[NAMED_AFTER] = path
    # A shell that completes a line runs no command, so nothing is chosen then.
    if path is not None and context.obj is not None:
        context.obj = replace(context.obj, named=path)


def _lay_over(context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> None:
    if given and context.obj is not None:
        context.obj = replace(context.obj, settings=(*context.obj.settings, *given))


def _choose_data(context: click.Context, _option: click.Parameter, folder: Path | None) -> None:
    if folder is not None and context.obj is not None:
        name_data(folder)
        context.obj = replace(context.obj, data=folder)


def name_data(folder: Path) -> None:
    """Have this process, and those that it starts, read and write in a data folder."""
    os.environ["RECAP_DATA"] = str(folder.absolute())
