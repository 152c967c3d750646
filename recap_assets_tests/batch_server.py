"""A chat server that also has files and batches as OpenAI documents them, and can be told how."""

import email
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from recap_assets_tests.chat_server import (
    Answer,
    Asked,
    ChatServer,
    captioned,
    refused,
    servers_of,
)


class BatchServer(ChatServer):
    """Answers the requests of a batch when it has been looked at often enough.

    Attributes:
        files: Content by name.
        batches: What is said of each, by name.
        paid: How often each request was answered in a batch, by its custom_id.
        looks: Looks at a batch until it is done.
        end: What it has come to then; `expired` and `cancelled` leave half unanswered.
        asked_of: What came, as method and path, in order.
        before: Called with method and path before anything is done about a request.
        after: Called likewise when it is done, and not yet replied; it may give another reply.
        results: Changes the lines of results.
    """

    def __init__(self, answer: Callable[[Asked], Answer] = captioned) -> None:
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.paid: Counter[str] = Counter()
        self.looks = 1
        self.end = "completed"
        self.asked_of: list[str] = []
        self.before: Callable[[str], object] = lambda _: None
        self.after: Callable[[str], Answer | None] = lambda _: None
        self.results: Callable[[list[bytes]], list[bytes]] = lambda lines: lines
        self.errors: dict[str, Any] | None = None
        self._looked: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self._guard = threading.RLock()
        super().__init__(answer)

    def other(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        with self._guard:
            at = urlsplit(path).path.removeprefix("/v1")
            what = f"{method} {at}"
            self.asked_of.append(what)
            self.before(what)
            answer = self._answer(method, at, path, headers, body)
            return self.after(what) or answer

    def _answer(
        self, method: str, at: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        match method, at.strip("/").split("/"):
            case "POST", ["files"]:
                return self._uploaded(headers, body)
            case "POST", ["batches"]:
                return self._created(json.loads(body))
            case "GET", ["batches"]:
                return self._listed(parse_qs(urlsplit(path).query))
            case "GET", ["batches", name] if name in self.batches:
                return Answer(self._looked_at(name))
            case "GET", ["files", name, "content"] if name in self.files:
                return Answer(self.files[name])
        return refused(f"no such thing: {at}", 404)

    def _uploaded(self, headers: Mapping[str, str], body: bytes) -> Answer:
        head = f"content-type: {headers['content-type']}\r\n\r\n".encode()
        message: Any = email.message_from_bytes(head + body)
        parts = {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
            for part in message.get_payload()
        }
        assert parts["purpose"] == b"batch"
        name = f"file-{next(self._numbers)}"
        self.files[name] = parts["file"]
        return Answer({"id": name, "object": "file", "purpose": "batch"})

    def _created(self, asked: Mapping[str, Any]) -> Answer:
        assert (asked["endpoint"], asked["completion_window"]) == ("/v1/chat/completions", "24h")
        if asked["input_file_id"] not in self.files:
            return refused("no such file", 400)
        name = f"batch_{next(self._numbers)}"
        n = len(self.files[asked["input_file_id"]].splitlines())
        self.batches[name] = {
            "id": name, "object": "batch", "input_file_id": asked["input_file_id"],
            "status": "validating", "output_file_id": None, "error_file_id": None,
            "errors": None, "request_counts": {"total": n, "completed": 0, "failed": 0},
        }  # fmt: skip
        return Answer(self.batches[name])

    def _listed(self, query: Mapping[str, list[str]]) -> Answer:
        """Pages of two, the newest first."""
        names = sorted(self.batches, key=lambda name: -int(name.removeprefix("batch_")))
        after = query.get("after", [""])[0]
        start = names.index(after) + 1 if after else 0
        page = [self.batches[name] for name in names[start : start + 2]]
        return Answer({"object": "list", "data": page, "has_more": start + 2 < len(names)})

    def _looked_at(self, name: str) -> dict[str, Any]:
        batch = self.batches[name]
        self._looked[name] += 1
        if self.errors is not None and batch["status"] == "validating":
            batch.update(status="failed", errors=self.errors)
        elif batch["status"] in ("validating", "in_progress"):
            batch["status"] = "in_progress"
            if self._looked[name] >= self.looks:
                self._finish(batch)
        return batch

    def _finish(self, batch: dict[str, Any]) -> None:
        lines = self.files[batch["input_file_id"]].splitlines()
        n = len(lines) if self.end == "completed" else len(lines) // 2
        output, errors = [], []
        for number, line in enumerate(lines[:n]):
            asked = json.loads(line)
            assert (asked["method"], asked["url"]) == ("POST", "/v1/chat/completions")
            self.paid[asked["custom_id"]] += 1
            answer = self.answer(Asked(asked["body"], {}, number))
            response = {"status_code": answer.status, "request_id": "r", "body": answer.body}
            result = {"id": "x", "custom_id": asked["custom_id"], "response": response}
            (output if answer.status == 200 else errors).append({**result, "error": None})
        for line in lines[n:] if self.end == "expired" else []:
            late = {"code": "batch_expired", "message": "This request could not be executed."}
            name = json.loads(line)["custom_id"]
            errors.append({"id": "x", "custom_id": name, "response": None, "error": late})
        for field, found in (("output_file_id", output), ("error_file_id", errors)):
            if found:
                batch[field] = f"file-{next(self._numbers)}"
                written = self.results([json.dumps(one).encode() for one in found])
                self.files[batch[field]] = b"".join(line + b"\n" for line in written)
        batch["request_counts"].update(completed=len(output), failed=len(errors))
        batch["status"] = self.end


def batch_servers() -> AbstractContextManager[Callable[..., BatchServer]]:
    """What starts servers with batches."""
    return servers_of(BatchServer)
