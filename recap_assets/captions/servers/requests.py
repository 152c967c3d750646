"""What a server is asked: messages, decoding and a seed, as canonical JSON."""

import hashlib
import json

from recap_assets.captions.servers.spec import ServerSpec

_SEED_BITS = 31
"""Every server takes a seed of this number of bits; some take no more."""

Content = str | list[dict[str, object]]
"""Of a message: a text, or parts of several types."""


def seed_of(seed: int, uid: bytes, candidate: int) -> int:
    """31 bits that only (seed, uid, candidate) decide."""
    digest = hashlib.blake2b(uid, digest_size=8, key=str(seed).encode())
    digest.update(candidate.to_bytes(4, "little"))
    return int.from_bytes(digest.digest(), "little") >> (64 - _SEED_BITS)


def chat_body(
    source: ServerSpec, asked: Content, uid: bytes, candidate: int, system: str | None
) -> bytes:
    """One request as canonical JSON: equal bytes ask for the same, whatever the server's address.

    At temperature 0 no seed is sent, so that copies of an image ask for the same.

    Args:
        source: Server and decoding.
        asked: What the user says.
        uid: The image's.
        candidate: Number of the candidate.
        system: The system message; None or "" for none.
    """
    decoding = source.decoding
    body: dict[str, object] = {
        **source.extra_body,
        "model": source.model,
        "messages": _messages(asked, system),
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        source.max_tokens_field: decoding.max_tokens,
    }
    if decoding.top_k is not None:
        body["top_k"] = decoding.top_k
    if decoding.min_tokens is not None:
        body["min_tokens"] = decoding.min_tokens
    if decoding.temperature > 0:
        body["seed"] = seed_of(decoding.seed, uid, candidate)
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _messages(asked: Content, system: str | None) -> list[dict[str, object]]:
    messages: list[dict[str, object]] = [{"role": "user", "content": asked}]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    return messages
