"""What an object store must be able to do before tables may be on it."""

import os
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from recap_assets.specs.requirements import pip_install
from recap_assets.storage.errors import StorageError
from recap_assets.storage.store_errors import MEANINGS

if TYPE_CHECKING:
    from botocore.client import BaseClient

ALREADY_THERE = 412
ATTEMPTS = 4


def prove_once(root: str) -> None:
    """Prove it of an S3 bucket once in a process, before the first table is written there.

    Args:
        root: Of the tables; other stores than S3 are taken as they are.

    Raises:
        StorageError: As `prove_conditional_put`, with the root.
    """
    if root.startswith("s3://"):
        _proved(root, os.environ.get("AWS_ENDPOINT_URL", ""))


@cache
def _proved(root: str, endpoint: str) -> None:
    del endpoint  # another store
    try:
        prove_conditional_put(root)
    except StorageError as error:
        raise StorageError(f"tables {root}: {error}") from error


def prove_conditional_put(url: str) -> None:
    """Prove that an S3 bucket refuses to write a key that is there already, and can delete it.

    Writers of a Delta table agree on who comes first by writing the next log entry with
    `If-None-Match: *`. A store that takes the header and writes all the same loses commits
    without a word: 24 of 48, when it was tried.

    Args:
        url: `s3://bucket/prefix`. Credentials, region and endpoint come from the AWS_*
            variables, as for the tables themselves.

    Raises:
        StorageError: It does not, or could not be tried; the text says why and what to do.
    """
    client = new_client()
    parts = urlsplit(url)
    bucket = parts.netloc
    key = f"{parts.path.strip('/')}/.recap-doctor-{uuid.uuid4().hex}".lstrip("/")
    _write_first(client, bucket, key)
    try:
        _refuses_second(client, bucket, key)
    finally:
        with in_words_of_key("deleted"):
            client.delete_object(Bucket=bucket, Key=key)


def _write_first(client: "BaseClient", bucket: str, key: str) -> None:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - an optional extra

    # Of a name that nobody else has, a key that is there was written by a try whose answer was
    # lost.
    with suppress(ClientError), in_words_of_key("written", passed=(ALREADY_THERE,)):
        client.put_object(Bucket=bucket, Key=key, Body=b"1", IfNoneMatch="*")


def _refuses_second(client: "BaseClient", bucket: str, key: str) -> None:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - an optional extra

    try:
        with in_words_of_key("written a second time", passed=(ALREADY_THERE,)):
            client.put_object(Bucket=bucket, Key=key, Body=b"2", IfNoneMatch="*")
    except ClientError:
        return
    msg = (
        "the store wrote a key that was there already, though `If-None-Match: *` forbade it. Two "
        "writers would lose each other's commits: put the tables on a store with conditional PUT "
        "(S3, MinIO, R2), or on a disk"
    )
    raise StorageError(msg)


def new_client(seconds: tuple[float, float] = (10, 30), attempts: int = ATTEMPTS) -> "BaseClient":
    """A client of S3 by the AWS_* variables, with the region as the tables' writer takes it.

    Args:
        seconds: How long to wait for a connection, and for an answer.
        attempts: How often a request is sent at most.

    Raises:
        StorageError: The extra s3 is missing, or the variables are wrong.
    """
    try:
        import botocore.session  # noqa: PLC0415 - an optional extra
        from botocore.config import Config  # noqa: PLC0415
    except ImportError as error:
        how = pip_install("recap-assets[s3]")
        msg = f"it cannot be tried without the extra s3: {how}"
        raise StorageError(msg) from error
    # The tables' writer takes AWS_REGION, botocore AWS_DEFAULT_REGION only.
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    config = Config(
        connect_timeout=seconds[0],
        read_timeout=seconds[1],
        retries={"total_max_attempts": attempts},
    )
    with in_words_of_key("reached"):
        return botocore.session.get_session().create_client("s3", region, config=config)


@contextmanager
def in_words_of_key(what: str, passed: Collection[int] = ()) -> Iterator[None]:
    """Say what kept a key from being `what`; answers with a status of `passed` stay as they are.

    Raises:
        StorageError: Saying why, and what to do.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above

    try:
        yield
    except ClientError as error:
        status = error.response["ResponseMetadata"].get("HTTPStatusCode")
        if status in passed:
            raise
        code = error.response.get("Error", {}).get("Code", "")
        meaning = MEANINGS.get(code, str(error))
        raise StorageError(f"a key cannot be {what}: {meaning} (HTTP {status})") from error
    except (BotoCoreError, ValueError) as error:
        msg = f"a key cannot be {what}: {error}; check the AWS_* variables"
        raise StorageError(msg) from error
