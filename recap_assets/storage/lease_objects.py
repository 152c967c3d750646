"""Lease objects: small keys of an S3 bucket that one process at a time owns, by conditional writes.

Nothing here trusts a clock of this machine: how old a lease is, the store says, by its `Date` and
its `Last-Modified`. Of this machine only the length of a time is measured.
"""

import os
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recap_assets.storage.errors import StorageError
from recap_assets.storage.object_store import ALREADY_THERE, in_words_of_key, new_client
from recap_assets.storage.store_errors import MEANINGS

if TYPE_CHECKING:
    from botocore.client import BaseClient

SECONDS = 60.0
"""How long a lease lasts that nobody renews."""
LONGEST_SECONDS = 3_600.0
MOST_BYTES = 4_000
PATIENCE_SECONDS = 180.0
"""How long a store that fails is asked again, as long as the tables' writer asks it."""
FIRST_PATIENCE_SECONDS = 10.0
"""The same at the first contact: a wrong address is to be reported soon."""
GRANULARITY_SECONDS = 1.0
"""Both times that the store gives are cut to whole seconds."""

_TIMEOUTS = (5.0, 10.0)
_NOT_THERE = 404
_AT_ONCE = 409
_LOST = (ALREADY_THERE, _NOT_THERE, _AT_ONCE)
_UNKNOWN = (400, 501)
_STORE_FAILED = 500
_ANOTHER = '"00000000000000000000000000000000"'

T = TypeVar("T")
Words = Annotated[str, Field(max_length=300)]


class _NoDateError(StorageError):
    pass


class Owner(BaseModel):
    """What a lease object says of who owns it.

    Attributes:
        token: Drawn for each time that a lease is taken.
        name: What is claimed.
        host: Of the process.
        process: Its number there.
        run: The run of Dagster that it belongs to, where it belongs to one.
        place: Names the locks that the owner held before it took the lease; "" for none.
        seconds: How long the lease lasts after a renewal.
        renewals: Makes each renewal's bytes, and with them its ETag, another one.
        state: Whether it is held, or was let go before the work was finished.
        is_suspect: Whether a process of another place left the work unfinished before.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    token: Words
    name: Words = ""
    host: Words = ""
    process: int = 0
    run: Words = ""
    place: Words = ""
    seconds: float = Field(default=SECONDS, gt=0, le=LONGEST_SECONDS)
    renewals: int = 0
    state: Literal["held", "unfinished"] = "held"
    is_suspect: bool = False

    def __str__(self) -> str:
        """The process, for whoever waits for it."""
        run = f", run {self.run}" if self.run else ""
        return f"process {self.process} on {self.host}{run}"


@dataclass(frozen=True)
class Found:
    """A lease object as it was at one moment.

    Attributes:
        etag: Of its bytes.
        owner: What they say; None of what no lease holds.
        is_free: Whether it was let go by an owner who had finished.
        age: Seconds since it was written, by the store's clock; up to a second too many or too few.
    """

    etag: str
    owner: Owner | None
    is_free: bool
    age: float

    @property
    def is_expired(self) -> bool:
        """Whether its owner did not renew it in time."""
        seconds = self.owner.seconds if self.owner else SECONDS
        return self.age >= seconds + GRANULARITY_SECONDS


@dataclass(frozen=True)
class Abilities:
    """What a store does with conditions.

    Attributes:
        missing: What leases need and it does not do; empty where it has all.
        deletes: Whether it deletes on condition.
    """

    missing: str
    deletes: bool


@dataclass(frozen=True)
class LeaseObjects:
    """The lease objects below one prefix of an S3 bucket.

    Attributes:
        root: `s3://bucket/prefix`.
    """

    root: str

    def put(self, key: str, owner: Owner | None, **condition: str) -> str | None:
        """Write a lease on a condition (`IfMatch`, `IfNoneMatch`); an empty one without an owner.

        Returns:
            The ETag of what was written; None where the condition does not hold.

        Raises:
            StorageError: The store does not answer, or refuses.
        """
        body = owner.model_dump_json().encode() if owner else b""
        answer = self._ask("written", _LOST, "put_object", Key=key, Body=body, **condition)
        return answer.get("ETag", "") if answer is not None else None

    def get(self, key: str) -> Found | None:
        """The lease as it is now; None where there is none.

        Raises:
            StorageError: As `put`.
        """
        answer = self._ask("read", (_NOT_THERE,), "get_object", Key=key)
        if answer is None:
            return None
        with in_words_of_key("read"):
            content = answer["Body"].read(MOST_BYTES + 1)
        age = _date_of(answer) - answer["LastModified"].timestamp()
        return Found(answer["ETag"], _owner_of(content), not content, age)

    def remove(self, key: str, etag: str, owner: Owner | None) -> None:
        """Let a lease go that has this ETag: deleted, emptied, or with what is to be left there.

        Raises:
            StorageError: As `put`.
        """
        if owner is None and self.abilities().deletes:
            self._ask("deleted", _LOST, "delete_object", Key=key, IfMatch=etag)
        else:
            self.put(key, owner, IfMatch=etag)

    def older_than(self, seconds: float) -> Iterator[Found]:
        """The leases that are neither free nor renewed within the last `seconds`.

        Raises:
            StorageError: As `put`.
        """
        parts = urlsplit(self.root)
        prefix = f"{parts.path.strip('/')}/".lstrip("/")
        with in_words_of_key("listed"):
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=parts.netloc, Prefix=prefix):
                for one in page.get("Contents", []):
                    age = _date_of(page) - one["LastModified"].timestamp()
                    found = self.get(one["Key"].removeprefix(prefix)) if age > seconds else None
                    if one["Size"] and found and not found.is_free:
                        yield found

    def abilities(self) -> Abilities:
        """What the store does with conditions, tried once in a process.

        Raises:
            StorageError: As `put`.
        """
        return _abilities(self, os.environ.get("AWS_ENDPOINT_URL", ""))

    def tried(self) -> Abilities:
        """Try on a key of its own what the store does with conditions.

        Raises:
            StorageError: As `put`.
        """
        key = f".tried-{uuid.uuid4().hex}"
        owner = Owner(token=key)
        try:
            try:
                self.put(key, owner, IfNoneMatch="*")
            except StorageError as error:
                if _status_of(error) not in _UNKNOWN:
                    raise
                return Abilities("`If-None-Match: *`", deletes=False)
            # Without the condition on deletions a lease is emptied, which leaves a key behind.
            return Abilities(self._missing(key, owner), self._deletes_on_condition(key))
        finally:
            delete = partial(self._ask, "deleted", (_NOT_THERE,), "delete_object", Key=key)
            patiently(delete, FIRST_PATIENCE_SECONDS)

    def _missing(self, key: str, owner: Owner) -> str:
        later = owner.model_copy(update={"renewals": 1})
        try:
            if self.put(key, later, IfNoneMatch="*") is not None:
                return "`If-None-Match: *`"
            found = self.get(key)
            if self.put(key, later, IfMatch=_ANOTHER) is not None:
                return "`If-Match`"
            if found is None or self.put(key, later, IfMatch=found.etag) is None:
                return "`If-Match`"
        except _NoDateError:
            return "a `Date` in its answers"
        except StorageError as error:
            if _status_of(error) not in _UNKNOWN:
                raise
            return "`If-Match`"
        return ""

    def _deletes_on_condition(self, key: str) -> bool:
        try:
            self._ask("deleted", _LOST, "delete_object", Key=key, IfMatch=_ANOTHER)
            return self.get(key) is not None
        except StorageError as error:
            if _status_of(error) not in _UNKNOWN and not isinstance(error, _NoDateError):
                raise
            return False

    def _ask(
        self, what: str, passed: tuple[int, ...], action: str, **words: str | bytes
    ) -> Mapping[str, Any] | None:
        """One request; None where it is answered with a status of `passed`."""
        client = self._client()  # which says what to do where the extra is missing
        from botocore.exceptions import ClientError  # noqa: PLC0415 - an optional extra

        parts = urlsplit(self.root)
        words["Key"] = f"{parts.path.strip('/')}/{words['Key']}".lstrip("/")
        try:
            with in_words_of_key(what, passed):
                return getattr(client, action)(Bucket=parts.netloc, **words)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchBucket":
                msg = f"{self.root}: {MEANINGS['NoSuchBucket']}; check its name"
                raise StorageError(msg) from error
            return None

    def _client(self) -> "BaseClient":
        return _client(os.environ.get("AWS_ENDPOINT_URL", ""))


def patiently(action: Callable[[], T], seconds: float = PATIENCE_SECONDS) -> T:
    """Do what may be done twice, again and again for some time while the store fails.

    Raises:
        StorageError: What the last try raised.
    """
    end = time.monotonic() + seconds
    pause = 0.2
    while True:
        try:
            return action()
        except StorageError as error:
            if not _may_pass(error) or time.monotonic() + pause > end:
                raise
        time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter is no secret
        pause = min(2 * pause, 10)


def _may_pass(error: StorageError) -> bool:
    """Whether it was the store that failed, or the way there."""
    if isinstance(error.__cause__, ImportError):
        return False
    from botocore import exceptions  # noqa: PLC0415 - as above

    broke = (exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.IncompleteReadError)
    return _status_of(error) >= _STORE_FAILED or isinstance(error.__cause__, broke)


def _status_of(error: StorageError) -> int:
    """What the store answered, in HTTP; 0 where it is no answer of a store."""
    if isinstance(error.__cause__, ImportError):
        return 0
    from botocore.exceptions import ClientError  # noqa: PLC0415 - as above

    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return 0
    return int(cause.response["ResponseMetadata"].get("HTTPStatusCode", 0))


@cache
def _client(endpoint: str) -> "BaseClient":
    del endpoint  # another store
    return new_client(_TIMEOUTS, attempts=2)


@cache
def _abilities(leases: LeaseObjects, endpoint: str) -> Abilities:
    del endpoint
    return patiently(leases.tried, FIRST_PATIENCE_SECONDS)


def _owner_of(content: bytes) -> Owner | None:
    if len(content) > MOST_BYTES:
        return None
    try:
        return Owner.model_validate_json(content)
    except ValidationError:
        return None


def _date_of(answer: Mapping[str, Any]) -> float:
    """The store's own time of an answer, in seconds since 1970."""
    said = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    try:
        return parsedate_to_datetime(said).timestamp()
    except ValueError as error:
        msg = "the store's answers have no `Date`, by which it is known how old a lease is"
        raise _NoDateError(msg) from error
