"""Pushing an export to a dataset of the Hub."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from huggingface_hub import CommitOperation, CommitOperationDelete, get_token

from recap_assets.exports.checksums import MARK, is_owned
from recap_assets.exports.finishing import ours
from recap_assets.exports.hub.client import bounded_library
from recap_assets.exports.hub.plan import Commit, PushPlan, Stored, planned
from recap_assets.exports.hub.published import Published
from recap_assets.exports.hub.repository import Repository, Sent
from recap_assets.exports.hub.target import HubError, Target
from recap_assets.storage.folders import Folder
from recap_assets.untrusted.secrets import learn
from recap_assets.untrusted.showing import listed

OF_THE_HUB = frozenset({".gitattributes"})
"""What a repository has from its beginning."""


@dataclass(frozen=True)
class Pushed:
    """What a push did, or of a dry run what it would do.

    Attributes:
        target: Where to.
        url: Its page.
        is_new: Whether the repository did not exist.
        plan: What was sent and removed.
        notes: What the Hub's library warned of, for people.
    """

    target: Target
    url: str
    is_new: bool
    plan: PushPlan
    notes: Sequence[str] = ()


def push(
    folder: Folder,
    target: Target,
    *,
    private: bool = True,
    replace: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Pushed:
    """Send what a repository lacks of a finished export, its checksums last.

    One that was interrupted continues: what the repository has is not sent again.

    Args:
        folder: The export.
        target: Where to; a repository or branch that does not exist is made.
        private: Whether a new repository is private.
        replace: Remove another export that is there.
        dry_run: Only say what would be sent.
        progress: Told how many bytes are sent, and of how many.

    Raises:
        FolderError: The folder has no finished export.
        HubError: The Hub cannot be reached, refuses, or has something else in the repository.
    """
    export, token = Published.of(folder), get_token()
    learn(token)
    if token is None and not dry_run:
        msg = f"{target}: there is no token of the Hub: `hf auth login`, or set HF_TOKEN"
        raise HubError(msg)
    with bounded_library() as notes:
        repository = Repository(target, token)
        is_new = not repository.exists()
        if not dry_run:
            repository.make(private=private, is_new=is_new)
        stored = {} if is_new and dry_run else repository.files()
        _refuse_foreign(repository, export, stored, replace=replace)
        plan = planned(export, stored, ours())
        if not dry_run:
            _carry_out(repository, export, plan, progress)
    return Pushed(target, repository.url, is_new, plan, notes)


def _refuse_foreign(
    repository: Repository, export: Published, stored: Mapping[str, Stored], *, replace: bool
) -> None:
    """Nothing of a stranger's is written over: as in a folder, by the mark that is there."""
    others = sorted(set(stored) - OF_THE_HUB)
    if not others or (MARK in stored and repository.content(MARK) == export.mark):
        return
    if MARK not in stored:
        msg = (
            f"{repository} has files ({listed(others, 3)}) and no export of Recap: name another "
            "one, nothing of a stranger's is written over"
        )
        raise HubError(msg)
    if not replace and not is_owned(repository.content(MARK), export.owner):
        msg = (
            f"{repository} has another export, as its {MARK} says: name another one, or give "
            "--replace to remove what is exported there"
        )
        raise HubError(msg)


def _carry_out(
    repository: Repository,
    export: Published,
    plan: PushPlan,
    progress: Callable[[int, int], None],
) -> None:
    done = 0
    for number, commit in enumerate(plan.commits, start=1):
        of = f" ({number} of {len(plan.commits)})" if len(plan.commits) > 1 else ""
        repository.commit(_operations(export, commit), f"Recap export of {export.mix}{of}")
        done += sum(file.size for file in commit.sent)
        progress(done, plan.n_bytes)
    if plan.commits and (lacking := planned(export, repository.files(), ours()).lacking):
        names = listed([file.name for file in lacking], 3)
        msg = (
            f"{repository} does not have everything that was sent ({names}): its .gitignore leaves "
            "that out, or something else was pushed in between. Run the same again"
        )
        raise HubError(msg)


def _operations(export: Published, commit: Commit) -> list[CommitOperation]:
    removed = [CommitOperationDelete(name, is_folder=False) for name in commit.removed]
    sent = [Sent.of(file, export.sendable(file.name)) for file in commit.sent]
    return [*removed, *sent]
