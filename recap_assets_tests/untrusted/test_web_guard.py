"""Another web page does not get through to Dagster's server, a user and a program do."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from recap_assets.untrusted.web_guard import Guard

OWN = {"host": "127.0.0.1:3000"}
PAGE = {**OWN, "accept": "text/html,*/*"}


@pytest.fixture
def client() -> TestClient:
    async def ran(_request: object) -> PlainTextResponse:
        return PlainTextResponse("ran")

    async def socket(one: WebSocket) -> None:
        await one.accept()
        await one.send_text("ran")
        await one.close()

    methods = ["GET", "POST"]
    routes = [Route("/graphql", ran, methods=methods), Route("/runs", ran, methods=methods)]
    app = Starlette(routes=[*routes, WebSocketRoute("/socket", socket)])
    app.add_middleware(Guard, names=["recap.example"])
    return TestClient(app)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/graphql", OWN),
        ("POST", "/graphql", {"host": "localhost:3000", "origin": "http://localhost:3000"}),
        ("POST", "/graphql", {"host": "[::1]:3000", "sec-fetch-site": "same-origin"}),
        ("POST", "/graphql", {"host": "Recap.example"}),
        ("GET", "/graphql", PAGE),
        ("GET", "/runs", {**PAGE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),
    ],
)
def test_a_user_and_a_program_get_through(client, method, path, headers):
    assert client.request(method, path, headers=headers).text == "ran"


@pytest.mark.parametrize(
    ("method", "path", "headers", "told"),
    [
        ("POST", "/graphql", {"host": "evil.example:3000"}, "--allow-host"),
        ("GET", "/runs", {"host": "127.0.0.1.evil.example"}, "--allow-host"),
        ("GET", "/runs", {"host": ""}, "--allow-host"),
        ("POST", "/graphql", {**OWN, "origin": "http://evil.example"}, "another web page"),
        ("POST", "/graphql", {**OWN, "origin": "http://127.0.0.1:8000"}, "another web page"),
        ("POST", "/graphql", {**OWN, "origin": "null"}, "another web page"),
        ("POST", "/runs", {**OWN, "sec-fetch-site": "cross-site"}, "another web page"),
        (
            "POST",
            "/runs",
            {**OWN, "sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"},
            "another web page",
        ),
        ("GET", "/graphql?query=mutation", {**OWN, "accept": "image/*"}, "sent by POST"),
    ],
)
def test_another_page_does_not(client, method, path, headers, told):
    reply = client.request(method, path, headers=headers)
    assert reply.status_code == 403
    assert told in reply.text


def test_a_socket_of_another_page_is_closed_before_it_is_open(client):
    with client.websocket_connect("/socket", headers=OWN) as one:
        assert one.receive_text() == "ran"
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/socket", headers={**OWN, "origin": "http://evil.example"}),
    ):
        pass
