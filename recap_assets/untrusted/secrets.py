"""The one redactor: what must not be shown is cut out of every text on its way out.

Two things are cut out: the secrets that this process was given (`learn`), in every form in which
they may come back, and what has the form of a secret whoever it belongs to.
"""

import base64
import html
import json
import re
import threading
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

KEY_SHOWN = "[key]"
"""What stands for a secret that is known."""

HIDDEN = "[hidden]"
"""What stands for what only has the form of one."""

SHORTEST = 8
"""Characters of a secret; a shorter one (such as `EMPTY`) is none, and may be a word of a text."""

_NAMES = re.compile(
    r"(?:^|_)(?:API_?KEY|ACCESS_KEY(?:_ID)?|ACCOUNT_KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE)$"
    r"|PASSWORD$"
)
"""Names of environment variables whose values are secrets."""

_FORMS = (
    # Longest beginnings first; every count has an end, so that no text costs more than its length.
    (re.compile(r"(://[^\s/@:?#\"'<>]{0,128}:)[^\s/@\"'<>]{1,512}(?=@)"), rf"\1{HIDDEN}"),
    (
        re.compile(
            r"(?i)(\bauthorization[\"']?\s?[:=]\s?[\"']?(?:bearer|basic|token)\s)[^\s\"',]+"
        ),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(
            r"(?i)([?&](?:x-amz-(?:signature|credential|security-token)|sig|signature|token|"
            r"access_token|api_key|apikey|key|password)=)[^&\s\"'<>]+"
        ),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(
            r"(?i)(\b(?:\w{1,32}_)?(?:password|passwd|secret_access_key|session_token|secret_key|"
            r"api_key|access_token)[\"']?\s?(?:=|:(?=\s?[\"']))\s?[\"']?)"
            r"[^\s\"',;&{}\[\]()]{4,}"
        ),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(
            r"\b(?:sk-[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{20,}|gh[opsru]_[A-Za-z0-9]{30,}"
            r"|A[KS]IA[0-9A-Z]{16})\b"
        ),
        HIDDEN,
    ),
)

_lock = threading.Lock()
_known: set[str] = set()
_pattern: tuple[re.Pattern[str], re.Pattern[bytes]] | None = None


def learn(*secrets: str | None) -> None:
    """Never show these from now on, in this process."""
    global _pattern  # noqa: PLW0603 - a secret is one for the whole process
    given = {secret.strip() for secret in secrets if secret}
    new = {secret for secret in given if len(secret) >= SHORTEST} - _known
    if new:
        with _lock:
            _known.update(new)
            _pattern = _compiled(_known)


def learn_environment(environment: Mapping[str, str], more: Iterable[str] = ()) -> None:
    """Learn what the environment holds under the name of a key, a token or a password.

    Args:
        environment: Variables and values.
        more: Further names of variables that hold one.
    """
    learn(*(environment.get(name) for name in more))
    learn(*(value for name, value in environment.items() if _NAMES.search(name)))


def redacted(text: str) -> str:
    """The text without any known secret, in whatever form, and without what has a secret's form."""
    if _pattern is not None:
        text = _pattern[0].sub(KEY_SHOWN, text)
    for form, instead in _FORMS:
        text = form.sub(instead, text)
    return text


def without_known(data: bytes) -> bytes:
    """Bytes of UTF-8 without any known secret; what only looks like one stays."""
    return data if _pattern is None else _pattern[1].sub(KEY_SHOWN.encode(), data)


def _compiled(secrets: Iterable[str]) -> tuple[re.Pattern[str], re.Pattern[bytes]]:
    forms = sorted({form for secret in secrets for form in _forms_of(secret)}, key=len)[::-1]
    words = "|".join(map(re.escape, forms))
    return re.compile(words, re.IGNORECASE), re.compile(words.encode(), re.IGNORECASE)


def _forms_of(secret: str) -> set[str]:
    """The secret as it is, and as URLs, JSON, pages, Python and base64 write it."""
    written = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}
    written |= {json.dumps(secret)[1:-1], html.escape(secret), repr(secret)[1:-1]}
    data = secret.encode("utf-8", "surrogatepass")
    written |= {data.hex(), *_in_base64(data)}
    return {form for form in written if len(form) >= SHORTEST}


def _in_base64(data: bytes) -> Iterable[str]:
    """What base64 writes for the bytes wherever they begin in what is encoded."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        # The first characters hold bits of what is before, the last those of what follows.
        first = (0, 2, 3)[before]
        last = len(encoded) - (0 if (before + len(data)) % 3 == 0 else 1)
        part = encoded[first:last]
        yield from (part, part.replace("+", "-").replace("/", "_"))
