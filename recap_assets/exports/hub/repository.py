"""A dataset of the Hub as a push sees it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self

from huggingface_hub import (
    CommitOperation,
    CommitOperationAdd,
    HfApi,
    constants,
    get_session,
    hf_hub_url,
)
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from recap_assets.exports.hub.client import asking
from recap_assets.exports.hub.plan import SMALL_BYTES, Stored
from recap_assets.exports.hub.target import BRANCH, HubError, Target
from recap_assets.storage.folders import WrittenFile

KIND = constants.REPO_TYPE_DATASET


class Repository:
    """A branch of a dataset; a call that fails is an error of ours."""

    def __init__(self, target: Target, token: str | None) -> None:
        self._target, self._token = target, token
        self._api = HfApi(token=token or False)
        self._head = ""

    def __str__(self) -> str:
        return str(self._target)

    @property
    def url(self) -> str:
        """Its page."""
        at = "" if self._target.branch == BRANCH else f"/tree/{self._target.branch}"
        return f"{self._api.endpoint}/datasets/{self._target.repo}{at}"

    def exists(self) -> bool:
        """Whether the dataset is there, and at which commit its branch, or else `main`, is."""
        with asking(self._target, "looking for it"):
            try:
                self._head = self._head_of(None)
            except HfHubHTTPError as error:
                # Without a token the Hub says of what it hides that one may not see it.
                hides = error.response.status_code == 401 and not self._token
                if hides or isinstance(error, RepositoryNotFoundError):
                    return False
                raise
            try:
                self._head = self._head_of(self._target.branch)
            except RevisionNotFoundError:
                return True
        return True

    def _head_of(self, branch: str | None) -> str:
        info = self._api.repo_info(self._target.repo, repo_type=KIND, revision=branch)
        return info.sha or ""

    def make(self, *, private: bool, is_new: bool) -> None:
        """Make the dataset and its branch, where they are not there."""
        repo, branch = self._target.repo, self._target.branch
        with asking(self._target, "making it"):
            if is_new:
                self._api.create_repo(repo, repo_type=KIND, private=private, exist_ok=True)
            if branch != BRANCH:
                self._api.create_branch(repo, repo_type=KIND, branch=branch, exist_ok=True)
            self._head = self._head_of(branch)

    def files(self) -> dict[str, Stored]:
        """What it has, by path."""
        with asking(self._target, "listing it"):
            listed = self._api.list_repo_tree(
                self._target.repo, repo_type=KIND, revision=self._head or None, recursive=True
            )
            return {
                file.path: Stored(file.size, file.lfs.sha256 if file.lfs else None, file.blob_id)
                for file in listed
                if isinstance(file, RepoFile)
            }

    def content(self, name: str) -> bytes:
        """The bytes of a small file."""
        with asking(self._target, f"reading its {name}"):
            url = hf_hub_url(
                self._target.repo,
                name,
                repo_type=KIND,
                revision=self._head,
                endpoint=self._api.endpoint,
            )
            response = get_session().get(url, headers=build_hf_headers(token=self._token or False))
            hf_raise_for_status(response)
            return response.content

    def commit(self, operations: Sequence[CommitOperation], message: str) -> None:
        """Send files and make a commit of them, on top of what was last seen alone."""
        with asking(self._target, "sending to it"):
            done = self._api.create_commit(
                self._target.repo,
                operations,
                commit_message=message,
                repo_type=KIND,
                revision=self._target.branch,
                parent_commit=self._head,
            )
            self._head = done.oid


class Sent(CommitOperationAdd):
    """A file to send, whose hash is known; a large one is never held in memory."""

    @classmethod
    def of(cls, file: WrittenFile, content: Path | bytes) -> Self:
        """The file under its name."""
        found = cls(file.name, content)
        found.upload_info.sha256 = bytes.fromhex(file.sha256)
        return found

    @contextmanager
    def as_file(self, with_tqdm: bool = False) -> Iterator[BinaryIO]:  # noqa: FBT001, FBT002 - of the library
        """The open file: to be sent in pieces, which is where a bar is asked for, or at once."""
        if not with_tqdm and self.upload_info.size > SMALL_BYTES:
            msg = f"the server wants {self.path_in_repo} within a commit, which is too large for it"
            raise HubError(msg)
        with super().as_file(with_tqdm) as file:
            yield file
