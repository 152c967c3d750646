"""img2dataset against a server that does all that the web does."""

import hashlib
import io
import ipaddress
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image

from recap_assets.pool.kinds.urls.fetching import (
    DownloadError,
    fetch,
    finished,
    remove_unfinished,
)
from recap_assets.pool.kinds.urls.tool import ToolMissingError
from recap_assets.shards.files import LocalFile
from recap_assets.shards.tar_index import group_members, index_tar
from recap_assets_tests.pool.kinds.urls.fetched import HASTY, asked, outcomes_of, quick
from recap_assets_tests.pool.kinds.urls.web import Web, served
from recap_assets_tests.shards.building import encoded, jpeg
from recap_assets_tests.waiting import SECONDS, wait_for

REASONS = {
    "image/1": None,
    "big/3": None,
    "moved/+image+2": None,
    "opted_out/noai": "opted_out",
    "opted_out/other:noai": None,
    "opted_out/recap:noimageai": "opted_out",
    "opted_out/all, NoIndex": "opted_out",
    "cut/1": "not_an_image",
    "html/1": "not_an_image",
    "bomb": "too_many_pixels",
    "short/1": "cut_short",
    "endless/1": "too_many_bytes",
    "flood/1": "too_many_bytes",
    "nothere": "http_404",
    "moved/file:+++etc+passwd": "redirect",
    "moved/+moved+again": "redirect",
}
LATE = ("drip/1", "silent/1")
FACE = [[0.25, 0.25, 0.75, 0.75]]


def checkered() -> bytes:
    """Fine detail everywhere, and a scaled-down width of its own."""
    tiles = np.random.default_rng(0).integers(0, 2, (100, 100, 1), dtype=np.uint8) * 255
    return encoded(Image.fromarray(tiles.repeat(4, 0).repeat(4, 1).repeat(3, 2)), "PNG")


@pytest.fixture(scope="module")
def outcomes(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, dict]:
    """One fetch of every kind of answer, by path; `blurred` is `plain` with a face."""
    web.pages["bomb"] = encoded(Image.new("L", (5000, 5000)), "PNG")
    web.pages["plain"] = web.pages["blurred"] = checkered()
    paths = [*REASONS, "plain", "blurred"]
    boxes = [FACE if path == "blurred" else None for path in paths]
    limits = {"max_bytes": 2**20, "max_pixels": 10**7}
    pool = quick(user_agent_token="recap", limits=limits, retries=1)  # noqa: S106 - no password
    urls = [web.of(path.replace(" ", "%20")) for path in paths]
    found = outcomes_of(urls, pool, tmp_path_factory.mktemp("work"), boxes=boxes)
    late = outcomes_of(
        [web.of(path) for path in LATE], quick(**HASTY), tmp_path_factory.mktemp("late")
    )
    rows = [*found.iter_rows(named=True), *late.iter_rows(named=True)]
    return dict(zip((*paths, *LATE), rows, strict=True))


@pytest.mark.parametrize("path", LATE)
def test_what_is_late_is_given_up(path: str, outcomes: Mapping[str, dict]) -> None:
    outcome = outcomes[path]
    assert (outcome["status"], outcome["reason"]) == ("failed_to_download", "timeout")


@pytest.mark.parametrize("path", REASONS)
def test_every_url_has_an_image_or_a_reason(path: str, outcomes: Mapping[str, dict]) -> None:
    outcome = outcomes[path]
    assert outcome["reason"] == REASONS[path], outcome["message"]
    assert (outcome["status"] == "success") == (REASONS[path] is None)
    assert (outcome["status"] == "opted_out") == (REASONS[path] == "opted_out")


def image_of(outcome: Mapping[str, str]) -> Image.Image:
    file = LocalFile(outcome["chunk"])
    try:
        samples = {s.key: s for s in group_members(index_tar(file).members)}
        member = samples[outcome["key"]].members["jpg"]
        return Image.open(io.BytesIO(file.read(member.offset, member.size))).convert("RGB")
    finally:
        file.close()


def test_only_images_that_are_bigger_are_resized(outcomes: Mapping[str, dict]) -> None:
    big, small = outcomes["big/3"], outcomes["image/1"]
    assert (big["original_width"], big["original_height"]) == (1200, 800)
    assert image_of(big).size == (big["width"], big["height"]) == (256, 171)
    assert image_of(small).size == (96, 72)


def test_what_fails_is_tried_again_as_often_as_asked(
    outcomes: Mapping[str, dict], web: Web
) -> None:
    assert outcomes["nothere"]["reason"] == "http_404"
    assert (web.asked["nothere"], web.asked["image/1"]) == (2, 1)


def test_faces_are_blurred_as_widely_as_datacomp_asks(outcomes: Mapping[str, dict]) -> None:
    plain, blurred = (np.asarray(image_of(outcomes[p]), float) for p in ("plain", "blurred"))
    face, corner = (slice(96, 160), slice(96, 160)), (slice(0, 16), slice(0, 16))
    # sigma is a tenth of the face's diagonal side: 13 pixels here, against tiles of 2.6.
    assert blurred[face].std() < 0.12 * plain[face].std()
    assert np.abs(blurred[corner] - plain[corner]).mean() < 12


def test_private_addresses_are_not_reached(web: Web, tmp_path: Path) -> None:
    port = web.url.rpartition(":")[2]
    hosts = [
        "127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433",  # noqa: S104 - a host that is asked for
        "10.0.0.1", "192.168.0.1", "169.254.169.254", "[fe80::1]", "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]", "100.64.0.1", "224.0.0.1",
    ]  # fmt: skip
    urls = [f"http://{host}:{port}/image/77" for host in hosts]
    found = outcomes_of(urls, quick(allow_private_addresses=False), tmp_path)
    assert dict(zip(hosts, found["reason"], strict=True)) == dict.fromkeys(hosts, "private_address")
    assert web.asked["image/77"] == 0


def certificate(folder: Path) -> Path:
    """A key and a certificate of its own for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(private + signed.public_bytes(pem))
    return path


def test_https_has_the_same_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    reasons = {"image/1": None, "big/1": None, "flood/1": "too_many_bytes"}
    with served(context) as secure:
        urls = [*map(secure.of, reasons), secure.of("image/1").replace("127.0.0.1", "localhost")]
        pool = quick(limits={"max_bytes": 2**20})
        found = outcomes_of(urls, pool, tmp_path / "work")
        late = outcomes_of([secure.of("drip/1")], quick(**HASTY), tmp_path / "late")
    assert found["reason"].to_list() == [*reasons.values(), "tls"], found["message"].to_list()
    assert late["reason"].to_list() == ["timeout"], late["message"].to_list()


def test_a_hash_that_differs_is_a_failure(web: Web, tmp_path: Path) -> None:
    pool = quick(verify_hash={"column": "sha256"})
    listed = [hashlib.sha256(jpeg(5)).hexdigest(), "0" * 64, None]
    found = outcomes_of([web.of("image/5")] * 3, pool, tmp_path, expected_hash=listed)
    assert found["reason"].to_list() == [None, "hash_mismatch", "hash_mismatch"]


def test_without_a_network_nothing_counts_as_dead(tmp_path: Path) -> None:
    urls = [f"http://127.0.0.1:1/{i}" for i in range(12)]
    work = tmp_path / "work"
    with pytest.raises(DownloadError, match=r"none of 12 URLs could be reached \(12 connection\)"):
        outcomes_of(urls, quick(), work)
    assert not work.exists()


def test_a_missing_tool_is_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECAP_IMG2DATASET", str(tmp_path / "img2dataset"))
    with pytest.raises(ToolMissingError, match="recap install-img2dataset"):
        outcomes_of(["http://example.org/1.jpg"], quick(), tmp_path)


def test_tars_without_whole_statistics_are_deleted(tmp_path: Path) -> None:
    for name in ("00000000", "00000001", "00000002"):
        (tmp_path / f"{name}.tar").write_bytes(b"x")
        (tmp_path / f"{name}.parquet").write_bytes(b"x")
    (tmp_path / "00000000_stats.json").write_text("{}")
    (tmp_path / "00000001_stats.json").write_text('{"count": 3,')
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "00000000.parquet", "00000000.tar", "00000000_stats.json",
    ]  # fmt: skip


KILLED = """
import sys
from pathlib import Path
from recap_assets.pool.kinds.urls import fetching
from recap_assets_tests.pool.kinds.urls.fetched import asked, quick
fetching.ROWS_PER_CHUNK = 4
urls = [f"{sys.argv[1]}/image/{i}" for i in range(100, 116)]
pool = quick(threads=1, processes=2, timeout=600, deadline=600)
fetching.fetch(asked(urls), pool, Path(sys.argv[2]), lambda done: None)
"""


def has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_killed_fetch_goes_on_where_it_was(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [f"image/{i}" for i in range(100, 116)]
    under_way, go_on = threading.Event(), threading.Event()

    def hold(path: str) -> None:
        # The second image of the third or of the fourth part: one of the first two is finished.
        if path in ("image/109", "image/113"):
            under_way.set()
            go_on.wait(SECONDS)

    web.before = hold
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    words = [sys.executable, "-c", KILLED, web.url, str(tmp_path)]
    process = subprocess.Popen(words, env=environment)  # noqa: S603 - ourselves
    try:
        assert under_way.wait(SECONDS)
        started = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.kill()
        process.wait()
    assert len(started) == 4, "img2dataset, its two workers and Python's resource tracker"
    wait_for(lambda: all(map(has_ended, started)), "all of them have ended")
    web.before = lambda _path: None
    go_on.set()
    done = finished(tmp_path / "out")
    cut = [tar for tar in (tmp_path / "out").glob("*.tar") if tar.stem not in done]
    assert done
    assert cut, "nothing was left half-written"

    monkeypatch.setattr("recap_assets.pool.kinds.urls.fetching.ROWS_PER_CHUNK", 4)
    shares: list[float] = []
    found = fetch(asked([web.of(p) for p in paths]), quick(), tmp_path, shares.append).outcomes
    assert (found["status"] == "success").all()
    assert found.height == 16
    kept = [path for name in done for path in paths[4 * int(name) : 4 * int(name) + 4]]
    assert [web.asked[path] for path in kept] == [1] * len(kept), "what was finished is kept"
    assert all(image_of(row) for row in found.iter_rows(named=True))
    assert shares == sorted(shares)


def test_a_hung_img2dataset_is_ended(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recap_assets.pool.kinds.urls.fetching._patience", lambda _pool: 0.5)
    with pytest.raises(DownloadError, match=r"finished nothing in 0 s and was ended"):
        outcomes_of([web.of("silent/1")], quick(timeout=5, deadline=5), tmp_path)
