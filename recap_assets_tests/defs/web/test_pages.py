"""The report, as the web server shows it: what is on it can neither run nor ask for anything."""

import asyncio
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from recap_assets.defs.links import GALLERY_PAGES, REPORT_PAGE, links_of
from recap_assets.defs.session import Session
from recap_assets.defs.web.pages import add_pages
from recap_assets.report.gallery_links import GALLERY


def served(page: Path, path: str, query: str = "") -> tuple[int, dict[str, str], str]:
    """Status, headers and text from a server whose last route takes every address, as Dagster's."""
    rest = Route("/{path:path}", lambda _request: PlainTextResponse("dagster"))
    app = Starlette(routes=[rest])
    add_pages(app, page, 4321)
    sent: list[dict] = []

    async def receive() -> dict:
        # A client that stays; the server stops waiting for it when it has answered.
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": path, "query_string": query.encode(),
        "headers": [(b"host", b"here.example:3000")],
        "root_path": "", "scheme": "http", "server": ("127.0.0.1", 3000),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], headers, body.decode()


def test_the_report_is_where_its_materialization_links_to(session: Session, tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text("<p>The report</p>")
    link = links_of(session.graph.nodes["report"])["report"].value
    assert link == REPORT_PAGE
    status, headers, text = served(page, str(link))
    assert (status, text) == (200, "<p>The report</p>")
    assert headers["content-type"].startswith("text/html")
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_a_report_that_is_not_built_yet_is_said(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    status, _, text = served(page, REPORT_PAGE)
    assert (status, text) == (404, "The report is not built yet.\n")
    assert served(page, "/assets")[2] == "dagster"


def test_every_asset_links_to_the_report_and_to_its_page_of_the_gallery(session: Session) -> None:
    links = {key: links_of(node) for key, node in session.graph.nodes.items()}
    assert {of["report"].value for of in links.values()} == {REPORT_PAGE}
    gallery = {key: of["gallery"].value for key, of in links.items()}
    assert gallery["raw_pool"] == "/recap/look/"
    assert gallery["clip_scores/clip/raw"] == "/recap/look/sources"
    assert gallery["thresholds/raw"] == "/recap/look/thresholds"
    assert gallery["curated_mixes/raw"] == "/recap/look/lineage?asset=curated_mixes%2Fraw"


def test_links_into_the_gallery_lead_to_its_port_on_the_same_host(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    status, headers, _ = served(page, f"{GALLERY_PAGES}/lineage", "asset=curated_mixes%2Fraw")
    assert status == 307
    assert headers["location"] == "http://here.example:4321/lineage?asset=curated_mixes%2Fraw"
    assert served(page, f"{GALLERY_PAGES}alike")[2] == "dagster"


def test_the_reports_links_lead_to_the_gallery_beside_the_server(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text(f'<p>at {GALLERY}</p><a href="{GALLERY}/pair/00000/ab">ab</a>')
    text = served(page, REPORT_PAGE)[2]
    assert text == f'<p>at {GALLERY}</p><a href="/recap/look/pair/00000/ab">ab</a>'
