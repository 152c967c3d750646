"""What a failing object store looks like, in the words of its readers and writers, and in ours."""

import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

from deltalake.exceptions import DeltaError
from polars.exceptions import PolarsError

from recap_assets.untrusted.showing import one_line

TRIES = 4
# A folder of this machine is a store to the crate, too; its errors are the disk's.
_STORE = re.compile(r"Generic (?!LocalFileSystem)(\w+) error")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_STATUS = re.compile(r"(?:status code|status)\W+([45]\d\d) ?([A-Za-z ]*)")
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_BROKE_OFF = "HTTP error"

MEANINGS = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "the credentials may not do this",
    "InvalidAccessKeyId": "the access key is not known there",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "NotImplemented": "the store does not take `If-None-Match`, by which writers agree on who "
    "comes first",
}
"""What the codes of S3's errors mean, as far as a user can fix it."""
AGAIN = "check it and the network, and run again: what was finished is kept"

T = TypeVar("T")


def in_words_of_store(error: BaseException) -> str | None:
    """One sentence of what an object store did and what to do; None for what is no store's error.

    Args:
        error: Of deltalake or polars, which both speak for the Rust crate object_store.
    """
    text = _COLORS.sub("", str(error))
    if (store := _STORE.search(text)) is None:
        return None
    if (code := _CODE.search(text)) and code[1] in MEANINGS:
        return f"{MEANINGS[code[1]]}; check the AWS_* variables and the bucket's rules"
    where = f"the object store ({store[1]})"
    if (status := _STATUS.search(text)) is not None:
        said = f" ({code[1]})" if code else ""
        return f"{where} kept answering HTTP {one_line(status[1])}{said}: {AGAIN}"
    if "timed out" in text:
        return f"{where} does not answer in time: {AGAIN}"
    if "connect" in text and "body" not in text:
        return f"{where} cannot be reached, or breaks connections off: {AGAIN}"
    return f"the connection to {where} broke off: {AGAIN}"


def patiently(action: Callable[[], T]) -> T:
    """Do what may be done twice, and do it again where a connection to an object store broke.

    The libraries repeat what a store answers with 5xx by themselves, but not what broke off in
    the middle of an answer, nor a PUT that may have come through.

    Raises:
        Exception: What the last try raised, or what has nothing to do with a connection.
    """
    for attempt in range(TRIES - 1):
        try:
            return action()
        except (DeltaError, OSError, PolarsError) as error:
            text = str(error)
            if _STORE.search(text) is None or _BROKE_OFF not in text:
                raise
        time.sleep(random.uniform(0.05, 0.2) * 2**attempt)  # noqa: S311 - jitter is no secret
    return action()
