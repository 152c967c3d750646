"""A file of one's own is embedded as the pool's images are, within bounds, and is not kept."""

import io
import tempfile

import polars as pl
import pytest
from PIL import Image
from starlette.testclient import TestClient

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.look import upload
from recap_assets_tests.look.conftest import client_of
from recap_assets_tests.tiny import Bench

LIKE_A_PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 64


def usable(bench: Bench) -> pl.DataFrame:
    return bench.project.workspace.tables.read(RAW_POOL).filter(is_usable()).sort("uid")


def sent(client: TestClient, content: bytes, **fields: str) -> tuple[int, str]:
    reply = client.post("/like", files={"image": ("<b>.png", content)}, data=fields)
    return reply.status_code, reply.text


def png_of(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_an_image_of_the_pool_finds_itself_first(client: TestClient, built: Bench) -> None:
    for row in usable(built)[::12].iter_rows(named=True):
        content = client.get(f"/bytes/{row['partition']}/{row['uid'].hex()}").content
        status, page = sent(client, content, scorer="clip")
        assert status == 200
        first = page.index('class="example"')
        assert page.index(f"/pair/{row['partition']}/{row['uid'].hex()}") - first < 300
        assert '<p class="note">1.000</p>' in page
        assert "uids as a file" not in page


def test_the_order_is_that_of_the_search_by_its_uid(client: TestClient, built: Bench) -> None:
    row = usable(built).row(5, named=True)
    content = client.get(f"/bytes/{row['partition']}/{row['uid'].hex()}").content
    like = client.get("/", params={"like": row["uid"].hex()}).text
    cards = [
        page[page.index('<div class="gallery">') :] for page in (sent(client, content)[1], like)
    ]
    found = [[part.split('"')[0] for part in one.split('href="/pair/')[1:]] for one in cards]
    assert found[0] == found[1]
    assert len(found[0]) == 24


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "choose an image first"),
        (b"GIF89a", "cannot be read"),
        (LIKE_A_PNG, "cannot be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "cannot be read"),
        (png_of(50_000, 50_000), "cannot be read"),
    ],
    ids=["nothing", "cut off", "not a png", "svg", "too many pixels"],
)
def test_what_is_no_image_is_refused(client: TestClient, content: bytes, words: str) -> None:
    status, page = sent(client, content)
    assert status == 400
    assert words in page
    assert "Traceback" not in page


def test_a_large_file_is_cut_off_while_it_is_read(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "MOST_BYTES", 2**20)
    assert sent(client, b"\xff" * (2**20 - 1_000))[1].count("cannot be read")
    status, page = sent(client, b"\xff" * (2**20 + 1))
    assert status == 400
    assert "at most 1 MiB" in page


def test_another_page_may_not_send_one(client: TestClient) -> None:
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        files = {"image": ("a.png", png_of(8, 8))}
        assert client.post("/like", files=files, headers=headers).status_code == 403
    assert client.get("/like").status_code == 405


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data", "image/png"])
def test_another_form_is_refused(client: TestClient, kind: str) -> None:
    reply = client.post("/like", content=png_of(8, 8), headers={"content-type": kind})
    assert reply.status_code == 400


def test_a_name_of_another_scorer_is_the_first(client: TestClient) -> None:
    status, page = sent(client, png_of(40, 40), scorer="<script>alert(1)</script>")
    assert status == 200
    assert "stored embeddings of clip" in page
    assert "<script>alert" not in page


def test_nothing_is_stored(built: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def state() -> dict[str, int]:
        root = built.project.workspace.data
        return {str(path): path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a temporary file was made")

    before = state()
    with client_of(built.project) as client:
        monkeypatch.setattr(tempfile, "mkstemp", refuse)
        monkeypatch.setattr(tempfile, "_mkstemp_inner", refuse)
        noise = Image.effect_noise((1_800, 1_800), 90)
        file = io.BytesIO()
        noise.save(file, "PNG")
        assert len(file.getvalue()) > 2 * 2**20
        assert sent(client, file.getvalue())[0] == 200
    assert state() == before
