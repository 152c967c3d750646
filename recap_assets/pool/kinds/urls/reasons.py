"""What img2dataset says of a URL that gave no image, as one of a few reasons."""

import re

OPTED_OUT = "opted_out"
NO_NETWORK = frozenset({"dns", "connection", "no_route", "timeout"})
"""Reasons that, where every URL has one of them, say something of this machine's network."""

_WORDS: tuple[tuple[str, str], ...] = (
    (r"X-Robots-Tag", OPTED_OUT),
    (r"HTTP Error 3\d\d", "redirect"),
    (r"HTTP Error (\d{3})", "http_"),
    (r"private address", "private_address"),
    (r"too many bytes", "too_many_bytes"),
    (r"timed out|timeout", "timeout"),
    (r"hash mismatch", "hash_mismatch"),
    (r"Name or service not known|getaddrinfo|name resolution|nodename nor|No address", "dns"),
    (r"Network is unreachable|No route to host", "no_route"),
    (r"CERTIFICATE|SSL|certificate", "tls"),
    (r"IncompleteRead", "cut_short"),
    (r"refused|reset|Remote end closed|Broken pipe|BadStatusLine|EOF", "connection"),
    (r"unknown url type|control characters|codec can't encode|nonnumeric port|no host given"
     r"|label (empty or )?too long|URL", "bad_url"),
    (r"Image decoding error|cannot identify", "not_an_image"),
    (r"image too small", "too_small"),
    (r"image area too large|CV_IO_MAX_IMAGE|CV_IO_MAX", "too_many_pixels"),
    (r"aspect ratio too large", "aspect_ratio"),
)  # fmt: skip


def reason_of(status: str, message: str) -> str:
    """A short reason: http_404, timeout, opted_out, not_an_image, ...

    Args:
        status: img2dataset's status, failed_to_download or failed_to_resize.
        message: Its error message.
    """
    for pattern, reason in _WORDS:
        if found := re.search(pattern, message):
            return reason + found[1] if reason.endswith("_") else reason
    return "resize_error" if status == "failed_to_resize" else "download_error"
