"""The gallery's pages: what they show, and that nothing of a stranger's runs in them."""

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS, vectors_of
from recap_assets.artefacts.table import Table, is_usable
from recap_assets.look import embeddings, neighbours
from recap_assets.look import images as look_images
from recap_assets.look import pair as look_pair
from recap_assets.mixes.comparing import compare_mixes, mix_version
from recap_assets.mixes.difference import MEANINGS
from recap_assets.plots.layout import BOX_HEIGHT, layout
from recap_assets_tests.look.conftest import client_of
from recap_assets_tests.tiny import Bench

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{7*7}}\u202ereversed"
PAGES = (
    "/", "/sources", "/sources?order=gain", "/sources?order=random", "/set-aside", "/thresholds",
    "/thresholds?value=0.5", "/mixes", "/lineage", "/results", "/compare", "/compare?judge=ann",
)  # fmt: skip
WITHOUT_TEXTS = ("/set-aside", "/thresholds", "/lineage", "/results", "/compare")


class Markup(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def values(self, tag: str, attribute: str) -> list[str]:
        """Those of an attribute."""
        return [attributes.get(attribute) or "" for name, attributes in self.tags if name == tag]


def pool_of(bench: Bench) -> pl.DataFrame:
    return bench.project.workspace.tables.read(RAW_POOL).sort("partition", "uid")


def with_rows(bench: Bench, folder: Path, table: Table, change: pl.Expr) -> Bench:
    """A copy in which a column of a table is another one."""
    copy = bench.copied(folder)
    tables = copy.project.workspace.tables
    frame = tables.read(table)
    for values in frame.select(table.slices).unique().iter_rows(named=True):
        tables.replace(table, values, frame.filter(**values).with_columns(change))
    return copy


@pytest.mark.parametrize("address", PAGES)
def test_a_page_has_nothing_from_elsewhere_and_no_script_in_it(
    client: TestClient, address: str
) -> None:
    page = client.get(address)
    markup = Markup(page.text)
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    places = markup.values("script", "src") + markup.values("img", "src")
    places += markup.values("link", "href")
    assert places
    assert all(place.startswith("/") and not place.startswith("//") for place in places)
    assert "<style" not in page.text
    assert not [name for _, attributes in markup.tags for name in attributes if name[:2] == "on"]
    assert not [attributes for _, attributes in markup.tags if "style" in attributes]


@pytest.mark.parametrize("address", PAGES)
def test_every_image_has_a_text_and_every_field_a_label(client: TestClient, address: str) -> None:
    page = client.get(address).text
    markup = Markup(page)
    assert all(markup.values("img", "alt"))
    hidden = [kind for kind in markup.values("input", "type") if kind == "hidden"]
    fields = [tag for tag, _ in markup.tags if tag in ("input", "select")][len(hidden) :]
    assert page.count("<label") >= len(fields)
    assert len(re.findall("<h1", page)) == 1


def test_another_name_or_page_may_not_ask(client: TestClient) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 403
    assert client.get("/", headers={"origin": "http://evil.example"}).status_code == 403
    assert client.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.post("/").status_code == 405


def test_hostile_texts_are_shown_and_do_nothing(built: Bench, tmp_path: Path) -> None:
    copy = with_rows(built, tmp_path, RAW_POOL, pl.lit(HOSTILE).alias("text"))
    copy = with_rows(copy, tmp_path / "b", SYNTHETIC_CAPTIONS, pl.lit(f"{HOSTILE}!").alias("text"))
    copy = with_rows(copy, tmp_path / "c", CURATED_MIXES, pl.lit(HOSTILE).alias("text"))
    uid, partition = pool_of(copy).filter(is_usable()).select("uid", "partition").row(0)
    with client_of(copy.project) as client:
        for address in (*PAGES, f"/pair/{partition}/{uid.hex()}", "/?by=words&q=script"):
            page = client.get(address).text
            tags = Markup(page).tags
            assert ("script", {"src": "/static/look.js", "defer": None}) in tags
            assert len([tag for tag, _ in tags if tag == "script"]) == 1
            assert "onerror" not in {name for _, attributes in tags for name in attributes}
            assert "\u202e" not in page
            if address not in WITHOUT_TEXTS:
                assert "&lt;script&gt;alert(1)" in page
                assert "{{7*7}}" in page


@pytest.mark.parametrize("asked", [HOSTILE, "\x00", "a" * 5_000, "%", "..", "ÿ" * 300])
def test_what_is_asked_for_is_bounded_and_shown_as_text(client: TestClient, asked: str) -> None:
    for name in ("q", "like", "by", "scorer", "order", "of", "page", "what", "draw"):
        for path in ("/", "/sources", "/set-aside", "/uids.txt"):
            by = {"by": "words"} if name == "q" else {}
            page = client.get(path, params={name: asked, **by})
            assert page.status_code in (200, 400)
            assert "<script>alert" not in page.text


def test_every_image_has_the_bytes_of_its_sha256(client: TestClient, built: Bench) -> None:
    for row in pool_of(built).filter(is_usable()).iter_rows(named=True):
        reply = client.get(f"/bytes/{row['partition']}/{row['uid'].hex()}")
        assert hashlib.sha256(reply.content).digest() == row["sha256"]
        assert reply.headers["content-disposition"].startswith("attachment")


def test_an_image_that_has_changed_is_not_shown(built: Bench, tmp_path: Path) -> None:
    copy = with_rows(built, tmp_path, RAW_POOL, pl.lit(b"\x00" * 32).alias("sha256"))
    uid, partition = pool_of(copy).filter(is_usable()).select("uid", "partition").row(0)
    with client_of(copy.project) as client:
        assert client.get(f"/bytes/{partition}/{uid.hex()}").status_code == 404
        small = client.get(f"/image/thumb/{partition}/{uid.hex()}")
        assert small.headers["content-type"] == "image/svg+xml"


def test_small_images_are_jpegs_within_bounds(
    client: TestClient, built: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_images, "KEPT_BYTES", 20_000)
    images = client.app.state.gallery.images
    for row in pool_of(built).filter(is_usable()).iter_rows(named=True):
        reply = client.get(f"/image/thumb/{row['partition']}/{row['uid'].hex()}")
        assert reply.headers["content-type"] == "image/jpeg"
        assert reply.content[:3] == b"\xff\xd8\xff"
        assert images._n_bytes == sum(map(len, images._kept.values())) <= 20_000
    assert images._kept


def test_images_like_one_are_the_nearest_by_their_embeddings(
    client: TestClient, built: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = built.project.workspace.tables.read(IMAGE_EMBEDDINGS)
    vectors = vectors_of(rows["embedding"])
    wanted = rows["uid"][int(vectors[7].size) % rows.height]
    cosines = vectors @ vectors[rows["uid"].index_of(wanted)]
    order = [rows["uid"][int(i)].hex() for i in (-cosines).argsort(kind="stable")]
    asked = {"like": wanted.hex()}
    found = client.get("/uids.txt", params=asked).text.split()
    assert found[0] == wanted.hex()
    assert found[:5] == order[:5]
    assert sorted(found) == sorted(order)
    monkeypatch.setattr(embeddings, "HELD_BYTES", 0)
    with client_of(built.project) as reading_each_time:
        assert reading_each_time.get("/uids.txt", params=asked).text.split() == found


def test_a_text_is_searched_by_its_embedding(client: TestClient, built: Bench) -> None:
    found = client.get("/uids.txt", params={"q": "a red boat"}).text.split()
    vector = neighbours.text_vector(client.app.state.gallery, "clip", "a red boat")
    rows = built.project.workspace.tables.read(IMAGE_EMBEDDINGS)
    cosines = vectors_of(rows["embedding"]) @ vector
    assert found[0] == rows["uid"][int(cosines.argmax())].hex()
    assert client.get("/", params={"q": "a red boat"}).status_code == 200


def test_words_are_found_in_every_source(client: TestClient, built: Bench) -> None:
    captions = built.project.workspace.tables.read(SYNTHETIC_CAPTIONS).filter(is_usable())
    word = captions["text"][0].split()[-1]
    raw = pool_of(built).filter(is_usable())
    has = pl.col("text").str.to_lowercase().str.contains(word.lower(), literal=True)
    wanted = {uid.hex() for frame in (captions, raw) for uid in frame.filter(has)["uid"]}
    found = client.get("/uids.txt", params={"q": word.upper(), "by": "words"}).text.split()
    assert set(found) == wanted
    assert not client.get("/uids.txt", params={"q": "(.*", "by": "words"}).text


def test_a_uid_leads_to_its_page(client: TestClient, built: Bench) -> None:
    row = pool_of(built).filter(is_usable()).row(3, named=True)
    page = client.get("/", params={"q": row["uid"].hex()[:12], "by": "uid"})
    assert page.url.path == f"/pair/{row['partition']}/{row['uid'].hex()}"
    assert row["sha256"].hex() in page.text
    for mix in built.project.experiment.mixes:
        assert f"<b>{mix}</b>" in page.text
    assert client.get("/pair/x/" + "0" * 32).status_code == 400


def test_many_mixes_are_explained_a_part_at_a_time(
    client: TestClient, built: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_pair, "MOST_MIXES", 2)
    row = pool_of(built).filter(is_usable()).row(3, named=True)
    address = f"/pair/{row['partition']}/{row['uid'].hex()}"
    shown = [
        re.findall(r"<b>(\w+)</b> <small>", client.get(f"{address}?mixes={i}").text) for i in (0, 1)
    ]
    assert [len(names) for names in shown] == [2, 1]
    assert [*shown[0], *shown[1]] == list(built.project.experiment.mixes)
    assert client.get(f"{address}?mixes=2").status_code == 400


def test_sources_are_sorted_by_what_they_differ_in(client: TestClient, built: Bench) -> None:
    page = client.get("/sources").text
    apart = [float(found) for found in re.findall(r"([\d.]+) apart", page)]
    assert len(apart) == 24
    assert apart == sorted(apart, reverse=True)
    gained = client.get("/sources?order=gain&of=a&against=raw").text
    gains = [float(found) for found in re.findall(r"a ([+-][\d.]+) against raw", gained)]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > gains[-1]
    pages = [client.get(f"/sources?page={i}").text for i in range(3)]
    uids = [re.findall(r'href="(/pair/[^"]+)"', one) for one in pages]
    assert len({uid for page in uids for uid in page}) == pool_of(built).filter(is_usable()).height


def test_what_was_set_aside_is_shown_by_reason(built: Bench, tmp_path: Path) -> None:
    first = pl.int_range(pl.len()) < 3
    reason = pl.when(first).then(pl.lit("too_small")).otherwise(pl.col("reject_reason"))
    status = pl.when(first).then(pl.lit("rejected")).otherwise(pl.col("status"))
    bad = built.copied(tmp_path / "bad")
    tables = bad.project.workspace.tables
    frame = tables.read(RAW_POOL)
    for key in frame["partition"].unique():
        of_key = frame.filter(partition=key).with_columns(status=status, reject_reason=reason)
        tables.replace(RAW_POOL, {"partition": key}, of_key)
    with client_of(bad.project) as client:
        page = client.get("/set-aside").text
    assert "too_small" in page
    assert page.count("the image can be decoded") == 3 * frame["partition"].n_unique()
    assert "ff d8 ff" in page


def test_nothing_is_written(built: Bench, client: TestClient) -> None:
    def state() -> dict[str, int]:
        root = built.project.workspace.data
        return {str(path): path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}

    before = state()
    uid, partition = pool_of(built).filter(is_usable()).select("uid", "partition").row(0)
    for address in (*PAGES, "/?q=boat", f"/pair/{partition}/{uid.hex()}", f"/?like={uid.hex()}"):
        assert client.get(address).status_code == 200
    assert state() == before


def test_mixes_are_compared_with_images(client: TestClient, built: Bench) -> None:
    page = client.get("/mixes?before=raw&after=mixed").text
    project = built.project
    sides = [mix_version(project, mix) for mix in ("raw", "mixed")]
    counts = compare_mixes(project, *sides).comparison.n_changed
    assert counts["recaptioned"]
    for change, n in counts.items():
        words = f"{n} image{'' if n == 1 else 's'} {MEANINGS[change]}"
        assert (words in page) == (n > 0)
    assert page.count('alt="Image with another text"') == min(12, counts["recaptioned"])
    version = sides[0].version
    assert (
        f"raw@{version} → raw@{version}"
        in client.get(f"/mixes?before=raw&at={version}&after=raw&to={version}").text
    )
    assert client.get("/mixes?before=raw&at=99999").status_code == 400


def test_the_lineage_of_a_mix_can_be_walked(built: Bench, tmp_path: Path) -> None:
    bench = built.copied(tmp_path)
    asset = CURATED_MIXES.key("mixed")
    with client_of(bench.project) as client:
        assert "never built" in client.get("/lineage", params={"asset": asset}).text
    assert client_of(bench.project).get("/lineage?asset=nothing").status_code == 400


def test_a_graph_is_in_columns_without_what_is_implied() -> None:
    found = layout({"c": ["a", "b"], "b": ["a"], "a": [], "d": []})
    x = {box.name: box.x for box in found.boxes}
    assert x["a"] == x["d"] < x["b"] < x["c"]
    assert len(found.edges) == 2
    places = {(box.x, box.y) for box in found.boxes}
    assert len(places) == 4
    assert all(0 <= y <= found.height - BOX_HEIGHT for _, y in places)
    late = layout({"c": ["b", "e"], "b": ["a"], "a": [], "e": []})
    x = {box.name: box.x for box in late.boxes}
    assert x["a"] < x["b"] == x["e"] < x["c"], "beside its reader, not across the picture"
