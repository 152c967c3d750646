"""`recap export --push-to`: an export sent to a dataset of the Hugging Face Hub."""

import os
import threading
import time
from collections.abc import Callable, MutableMapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import click

from recap_assets.cli import terminal
from recap_assets.cli.bars import bar
from recap_assets.cli.output import echo
from recap_assets.exports.checksums import MARK
from recap_assets.storage.folders import Folder, FolderError

if TYPE_CHECKING:
    from rich.console import Console

    from recap_assets.exports.hub.push import Pushed
    from recap_assets.exports.hub.target import Target

Result = TypeVar("Result")
AT_CTRL_C_SECONDS = 0.2
INTERRUPTED = 130
"""What a shell calls the end by Ctrl-C."""


@dataclass(frozen=True)
class Push:
    """What a user wants pushed where."""

    target: "Target"
    public: bool
    replace: bool
    dry_run: bool

    @classmethod
    def taken(
        cls, options: MutableMapping[str, object], *, replace: bool, is_check: bool
    ) -> Self | None:
        """What the options say, which are taken out of the others; None where nothing is pushed.

        Raises:
            HubError: The place is no dataset of the Hub.
            click.UsageError: They do not go together.
        """
        place = options.pop("push_to")
        public, dry_run = bool(options.pop("public")), bool(options.pop("dry_run"))
        if place is None:
            for option, given in (("--public", public), ("--dry-run", dry_run)):
                if given:
                    msg = f"{option} goes with --push-to"
                    raise click.UsageError(msg)
            return None
        if is_check:
            msg = "--push-to goes with neither --verify nor --arguments"
            raise click.UsageError(msg)
        from recap_assets.exports.hub.target import Target

        return cls(Target.parse(str(place)), public, replace, dry_run)

    def of(self, folder: Folder, console: "Console") -> dict[str, object]:
        """Push an export, say what was done, and give it for a program.

        Raises:
            click.ClickException: The folder has no finished export.
            HubError: It cannot be pushed.
        """
        from recap_assets.exports.hub.push import push

        asked = {"private": not self.public, "replace": self.replace, "dry_run": self.dry_run}
        started = time.monotonic()
        try:
            with bar(console, f"sending to {self.target}") as advance:
                done = _interruptible(lambda: push(folder, self.target, progress=advance, **asked))
        except FolderError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            echo("Stopped. What was sent is kept; run again to continue.", err=True)
            os._exit(INTERRUPTED)  # else the process waits for the uploads that are under way
        self._print(console, done, time.monotonic() - started)
        return {
            "target": str(self.target),
            "page": done.url,
            "new": done.is_new,
            "dry_run": self.dry_run,
            "sent": len(done.plan.lacking),
            "bytes": done.plan.n_bytes,
            "unchanged": done.plan.n_unchanged,
            "removed": len(done.plan.stale),
            "commits": len(done.plan.commits),
        }

    def _print(self, console: "Console", done: "Pushed", seconds: float) -> None:
        from recap_assets.lineage.amounts import in_bytes, in_time

        for note in done.notes:
            console.print(terminal.plain(note), soft_wrap=True)
        plan, made = done.plan, "public" if self.public else "private"
        kinds = f" ({made}, new)" if done.is_new else ""
        before = "would send" if self.dry_run else "sent"
        after = "" if self.dry_run else f" in {in_time(seconds)}"
        console.print(
            f"{before} {len(plan.lacking):,} files, {in_bytes(plan.n_bytes)}, in "
            f"{len(plan.commits):,} commits, with {plan.n_unchanged:,} there as they are and "
            f"{len(plan.stale):,} removed{after}: {done.url}{kinds}",
            highlight=False,
            soft_wrap=True,
        )


def _interruptible(work: Callable[[], Result]) -> Result:
    """Do something in a thread, which a process that ends does not wait for."""
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # whatever it is, the one who waits gets it
            done.set_exception(error)

    threading.Thread(target=run, name="push", daemon=True).start()
    # A signal that another thread gets wakes no thread that waits without an end.
    while not done.done():
        wait([done], AT_CTRL_C_SECONDS)
    return done.result()


def is_export(place: str) -> bool:
    """Whether a word names a folder that has an export, finished or not."""
    try:
        return MARK in Folder(place).top_names()
    except (FolderError, ValueError, OSError):
        return False
