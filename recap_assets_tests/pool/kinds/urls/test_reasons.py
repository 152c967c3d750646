import pytest

from recap_assets.pool.kinds.urls.reasons import reason_of


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("HTTP Error 404: Not Found", "http_404"),
        ("HTTP Error 503: Service Unavailable", "http_503"),
        ("HTTP Error 302: Found - Redirection to url 'file:///x' is not allowed", "redirect"),
        ("<urlopen error timed out>", "timeout"),
        ("The read operation timed out", "timeout"),
        ("<urlopen error [Errno -2] Name or service not known>", "dns"),
        ("<urlopen error [Errno -3] Temporary failure in name resolution>", "dns"),
        ("<urlopen error [Errno 111] Connection refused>", "connection"),
        ("<urlopen error [Errno 101] Network is unreachable>", "no_route"),
        ("<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "tls"),
        ("Use of image disallowed by X-Robots-Tag directive", "opted_out"),
        ("'ascii' codec can't encode character '\\xfc' in position 5", "bad_url"),
        ("hash mismatch", "hash_mismatch"),
        ("something new", "download_error"),
    ],
)
def test_what_was_said_of_a_download(message: str, reason: str) -> None:
    assert reason_of("failed_to_download", message) == reason


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Image decoding error", "not_an_image"),
        ("image too small", "too_small"),
        ("image area too large", "too_many_pixels"),
        ("aspect ratio too large", "aspect_ratio"),
        ("something new", "resize_error"),
    ],
)
def test_what_was_said_of_an_image(message: str, reason: str) -> None:
    assert reason_of("failed_to_resize", message) == reason
