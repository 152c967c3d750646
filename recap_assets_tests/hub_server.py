"""A stand-in for the Hugging Face Hub on loopback: datasets with commits, and no Xet storage.

It speaks what a push uses: making datasets and branches, listing, LFS uploads and commits.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

TOKEN = "hf_" + "stand1n" * 5
LARGE = re.compile(r".+\.(parquet|tar|jpg|png|npz)")
"""What goes to LFS; all else is in the commit."""


@dataclass(frozen=True)
class Stored:
    """A file of a commit."""

    content: bytes
    is_large: bool

    @property
    def git_sha1(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()  # noqa: S324 - git's

    @property
    def oid(self) -> str:
        return hashlib.sha256(self.content).hexdigest() if self.is_large else self.git_sha1

    def row(self, path: str) -> dict[str, Any]:
        row = {"type": "file", "path": path, "size": len(self.content), "oid": self.git_sha1}
        lfs = {"oid": self.oid, "size": len(self.content), "pointerSize": 130}
        return {**row, "lfs": lfs} if self.is_large else row


Tree = dict[str, Stored]


@dataclass
class Dataset:
    """A repository: every commit's tree, and where its branches are."""

    private: bool = True
    trees: dict[str, Tree] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.add("main", {".gitattributes": Stored(b"*.tar filter=lfs\n", is_large=False)}, "begin")

    def add(self, branch: str, tree: Tree, message: str) -> str:
        self.messages.append(message)
        oid = hashlib.sha1(f"{len(self.messages)} {message}".encode()).hexdigest()  # noqa: S324 - git's
        self.trees[oid], self.branches[branch] = tree, oid
        return oid

    def tree(self, revision: str = "main") -> Tree:
        return self.trees[self.branches.get(revision, revision)]

    def contents(self, revision: str = "main") -> dict[str, bytes]:
        tree = self.tree(revision)
        return {path: file.content for path, file in tree.items() if path != ".gitattributes"}


@dataclass(frozen=True)
class Answer:
    """A status and what is sent with it: JSON, or bytes as they are."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A request, and its number among those of its method and kind of path, from 0."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]


def refused(status: int, said: str, **headers: str) -> Answer:
    return Answer({"error": said}, status, {"x-error-message": said, **headers})


NOT_FOUND = refused(404, "Repository not found", **{"x-error-code": "RepoNotFound"})


class HubServer:
    """Runs in a thread.

    Attributes:
        datasets: By owner and name.
        objects: What LFS has, by sha256.
        asked: Requests in their order.
        sent: Bytes that came to LFS.
        before: Called first; what it gives is answered in place of the real answer, and where it
            raises, the connection breaks.
        page: Files of one page of a listing.
    """

    def __init__(self) -> None:
        self.datasets: dict[str, Dataset] = {}
        self.objects: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.sent = 0
        self.before: Callable[[Asked], Answer | None] = lambda _asked: None
        self.page = 3
        self.lock = threading.Lock()
        self._http = _Http(self)
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def n_asked(self, method: str, path: str) -> int:
        return sum(one.method == method and re.search(path, one.path) is not None
                   for one in self.asked)  # fmt: skip

    def answer(self, asked: Asked) -> Answer:
        with self.lock:
            self.asked.append(asked)
            if (instead := self.before(asked)) is not None:
                return instead
            if asked.path.startswith("/lfs/"):
                return self._keep(asked)
            if asked.headers.get("authorization") != f"Bearer {TOKEN}":
                return refused(401, "Invalid credentials in Authorization header")
            for method, pattern, reply in _ROUTES:
                found = re.fullmatch(pattern, urlsplit(asked.path).path)
                if found and method == asked.method:
                    return reply(self, asked, *map(unquote, found.groups()))
        return refused(404, "Not Found")

    def _keep(self, asked: Asked) -> Answer:
        oid = asked.path.removeprefix("/lfs/")
        if hashlib.sha256(asked.body).hexdigest() != oid:
            return refused(400, "other bytes than announced")
        self.sent += len(asked.body)
        self.objects[oid] = asked.body
        return Answer("")


def _create(hub: HubServer, asked: Asked) -> Answer:
    form = json.loads(asked.body)
    assert form["type"] == "dataset"
    name = f"{form['organization']}/{form['name']}"
    if name in hub.datasets:
        return refused(409, "You already created this dataset repo")
    private = form.get("visibility", "private" if form.get("private") else "public") == "private"
    hub.datasets[name] = Dataset(private)
    return Answer({"url": f"{hub.url}/datasets/{name}", "name": name})


def _info(hub: HubServer, _asked: Asked, repo: str, revision: str = "main") -> Answer:
    if repo not in hub.datasets:
        return NOT_FOUND
    dataset = hub.datasets[repo]
    if revision not in dataset.branches:
        return refused(404, "Invalid rev id", **{"x-error-code": "RevisionNotFound"})
    return Answer({"id": repo, "sha": dataset.branches[revision], "private": dataset.private,
                   "tags": [], "downloads": 0, "likes": 0})  # fmt: skip


def _branch(hub: HubServer, _asked: Asked, repo: str, name: str) -> Answer:
    dataset = hub.datasets[repo]
    if name in dataset.branches:
        return refused(409, "Reference already exists")
    dataset.branches[name] = dataset.branches["main"]
    return Answer({})


def _tree(hub: HubServer, asked: Asked, repo: str, revision: str) -> Answer:
    rows = [file.row(path) for path, file in sorted(hub.datasets[repo].tree(revision).items())]
    first = int(parse_qs(urlsplit(asked.path).query).get("cursor", ["0"])[0])
    more = f"{hub.url}{urlsplit(asked.path).path}?recursive=True&cursor={first + hub.page}"
    links = {"link": f'<{more}>; rel="next"'} if first + hub.page < len(rows) else {}
    return Answer(rows[first : first + hub.page], headers=links)


def _preupload(hub: HubServer, asked: Asked, repo: str, revision: str) -> Answer:
    tree = hub.datasets[repo].tree(revision)
    files = []
    for one in json.loads(asked.body)["files"]:
        mode = "lfs" if LARGE.fullmatch(one["path"]) else "regular"
        oid = tree[one["path"]].oid if one["path"] in tree else None
        files.append({"path": one["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return Answer({"files": files})


def _batch(hub: HubServer, asked: Asked, _repo: str) -> Answer:
    objects = []
    for one in json.loads(asked.body)["objects"]:
        row = {"oid": one["oid"], "size": one["size"]}
        if one["oid"] not in hub.objects:
            row["actions"] = {"upload": {"href": f"{hub.url}/lfs/{one['oid']}"}}
        objects.append(row)
    return Answer({"transfer": "basic", "objects": objects})


def _commit(hub: HubServer, asked: Asked, repo: str, branch: str) -> Answer:
    lines = [json.loads(line) for line in asked.body.splitlines()]
    header, dataset = lines[0]["value"], hub.datasets[repo]
    if header.get("parentCommit") not in (None, dataset.branches[branch]):
        return refused(412, "A commit has happened since. Please refresh and try again.")
    tree = dict(dataset.tree(branch))
    for line in lines[1:]:
        value = line["value"]
        match line["key"]:
            case "file":
                tree[value["path"]] = Stored(base64.b64decode(value["content"]), is_large=False)
            case "lfsFile":
                tree[value["path"]] = Stored(hub.objects[value["oid"]], is_large=True)
            case "deletedFile":
                del tree[value["path"]]
            case other:
                return refused(400, f"unknown {other}")
    oid = dataset.add(branch, tree, header["summary"])
    return Answer({"commitUrl": f"{hub.url}/datasets/{repo}/commit/{oid}", "commitOid": oid,
                   "hookOutput": "", "success": True})  # fmt: skip


def _resolve(hub: HubServer, _asked: Asked, repo: str, revision: str, path: str) -> Answer:
    return Answer(hub.datasets[repo].tree(revision)[path].content)


_REPO = r"/api/datasets/([^/]+/[^/]+)"
_ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("POST", "/api/repos/create", _create),
    ("POST", "/api/validate-yaml", lambda _hub, _asked: Answer({"errors": [], "warnings": []})),
    ("GET", _REPO, _info),
    ("GET", rf"{_REPO}/revision/([^/]+)", _info),
    ("POST", rf"{_REPO}/branch/([^/]+)", _branch),
    ("GET", rf"{_REPO}/tree/([^/]+)", _tree),
    ("POST", rf"{_REPO}/preupload/([^/]+)", _preupload),
    ("POST", r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", _batch),
    ("POST", rf"{_REPO}/commit/([^/]+)", _commit),
    ("GET", r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", _resolve),
]


@contextmanager
def hub_server(patch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A server that the Hub's library in this process asks, with its token and without waits."""
    from huggingface_hub import constants  # noqa: PLC0415 - only where it is asked
    from huggingface_hub.utils import _http  # noqa: PLC0415 - as above

    server = HubServer()
    for name in ("HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        patch.delenv(name, raising=False)
    patch.setenv("HF_TOKEN", TOKEN)
    patch.setattr(constants, "ENDPOINT", server.url)
    template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(_http, "time", SimpleNamespace(sleep=lambda _seconds: None))
    try:
        yield server
    finally:
        server.stop()


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: HubServer) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, *_: object) -> None:
        """A connection that a test breaks is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 2**16
    disable_nagle_algorithm = True
    server: _Http

    def _reply(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.owner.answer(Asked(self.command, self.path, body, headers))
        content = (
            answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        )
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_HEAD = _reply  # noqa: N815 - names of the standard library

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""
