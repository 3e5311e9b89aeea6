"""Only the page on this machine gets in."""

import asyncio
import socket

import pytest
from workbench_parts import Bench, Client

from bot.chat.roleplay.memory.notebook import Notebook
from bot.errors import UserError
from bot.workbench import Workbench
from bot.workbench.security import BODY_BYTES


async def raw(bench: Bench, request: str) -> str:
    """Send bytes as they are; the head and body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
    writer.write(request.encode())
    await writer.drain()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1.evil.example:{port}", "localhost:1", "[::1]"]
)
async def test_a_foreign_host_is_refused(bench: Bench, client: Client, host: str) -> None:
    headers = {"Host": host.format(port=bench.port)}
    for path in ("", "static/app.js", "api/chats"):
        status, answer = await client.call("GET", path, headers=headers)
        assert status == 421
        assert f"http://127.0.0.1:{bench.port}/" in answer["fix"]


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}"])
async def test_our_own_host_is_served(bench: Bench, client: Client, host: str) -> None:
    status, _ = await client.call(
        "GET", "api/chats", headers={"Host": host.format(port=bench.port)}
    )
    assert status == 200


async def test_two_hosts_or_none_are_refused(bench: Bench) -> None:
    own = f"Host: 127.0.0.1:{bench.port}\r\n"
    two = await raw(
        bench, f"GET /api/chats HTTP/1.1\r\n{own}Host: evil\r\nConnection: close\r\n\r\n"
    )
    none = await raw(bench, "GET /api/chats HTTP/1.0\r\n\r\n")
    for answer in (two, none):
        assert answer.split()[1].startswith("4"), answer


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_site_may_neither_write_nor_read(
    bench: Bench, client: Client, headers: dict[str, str]
) -> None:
    sent = {name: value.format(port=bench.port) for name, value in headers.items()}
    body = {"text": "hi", "name": "x"}
    for method, path, given in (
        ("POST", "api/chats/1/messages", body),
        ("POST", "api/chats/1/stop", None),
        ("GET", "api/chats/1", None),
        ("GET", "api/chats/1/events", None),
    ):
        status, answer = await client.call(method, path, given, headers=sent)
        assert status == 403, (method, path)
        assert answer["fix"]
    assert not bench.engine.requests
    assert (await client.chat())["turns"] == []


async def test_our_own_origin_may_write(bench: Bench, client: Client) -> None:
    headers = {"Origin": f"http://127.0.0.1:{bench.port}", "Sec-Fetch-Site": "same-origin"}
    status, _ = await client.call("POST", "api/chats", headers=headers)
    assert status == 201


async def test_a_link_from_another_site_opens_the_page(client: Client) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    async with client.session.get(client.url, headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_form_of_another_site_cannot_pass_for_json(client: Client, kind: str) -> None:
    status, answer = await client.call(
        "POST",
        "api/chats/1/messages",
        data=b'{"text": "hi", "name": "x"}',
        headers={"Content-Type": kind},
    )
    assert status == 415
    assert "JSON" in answer["error"]


@pytest.mark.parametrize("path", ["", "static/app.js", "api/chats", "api/nothing", "favicon.ico"])
async def test_every_answer_carries_the_security_headers(client: Client, path: str) -> None:
    async with client.session.get(client.url + path) as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_the_stream_of_events_carries_them_too(client: Client) -> None:
    async with client.session.get(client.url + "api/chats/1/events") as response:
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.content_type == "text/event-stream"


async def test_a_body_that_is_too_large_is_refused(client: Client) -> None:
    status, answer = await client.call(
        "POST", "api/chats/1/messages", {"text": "x" * BODY_BYTES, "name": "x"}
    )
    assert status == 413
    assert "too much" in answer["error"]


@pytest.mark.parametrize(
    "path", ["static/../server.py", "static/%2e%2e/server.py", "static/..%2fserver.py", "static/"]
)
async def test_nothing_but_the_pages_own_files_is_served(bench: Bench, path: str) -> None:
    own = f"Host: 127.0.0.1:{bench.port}\r\nConnection: close\r\n"
    answer = await raw(bench, f"GET /{path} HTTP/1.1\r\n{own}\r\n")
    assert answer.split()[1] in {"403", "404"}
    assert "class Workbench" not in answer


async def test_it_listens_on_loopback_only(bench: Bench) -> None:
    assert bench.url.startswith("http://127.0.0.1:")
    with socket.socket() as other:  # the same port on another address of this machine is free
        other.bind(("127.0.0.2", bench.port))


def another(bench: Bench, port: int) -> Workbench:
    notebook = Notebook(bench.database.facts)
    return Workbench(bench.conversations, port=port, version="1", notebook=notebook)


async def test_a_port_that_is_taken_is_a_clear_error(bench: Bench) -> None:
    second = Workbench(
        bench.conversations, port=bench.port, version="1", notebook=Notebook(bench.database.facts)
    )
    with pytest.raises(UserError) as caught:
        await second.start()
    advice = 'Give another: `make run ARGS="--port 9000"`.'
    assert str(caught.value) == f"Port {bench.port} is in use. {advice}"
    await second.close()


async def test_a_port_that_cannot_be_is_a_clear_error(bench: Bench) -> None:
    with pytest.raises(UserError, match="Port 70000 cannot be used"):
        await Workbench(
            bench.conversations, port=70000, version="1", notebook=Notebook(bench.database.facts)
        ).start()
