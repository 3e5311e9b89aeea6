"""A server that speaks the hub's API for a few repositories, with faults where they are wanted."""

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

COMMIT = "a" * 40
LARGE_BYTES = 10_000  # from here on a file is kept as a large one, with a SHA-256


@dataclass
class HubServer:
    """What it serves, how it fails, and what it was asked. The faults may be set at any time."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    token: str = ""  # who does not send it is refused
    refuse: tuple[int, str] | None = None  # status and X-Error-Code of every answer
    refuse_headers: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)  # after so many bytes, one answer after another
    stalls_after: int | None = None
    ignores_range: bool = False
    sends_other: bytes | None = None  # in place of a large file's content
    sends_small_other: bool = False  # of the same size
    lists_other_size: int | None = None
    lists_hashes: bool = True
    names_hashes: bool = True  # in the headers of the resolver
    extra_names: tuple[str, ...] = ()  # in the list, and nowhere else
    redirects_to: str = ""  # in place of the store of large files
    siblings_have_sizes: bool = True
    page_size: int = 1000
    packs: bool = False
    store_refuses: int = 0  # with this status
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    sent_bytes: int = 0
    counts_taken: bool = False  # the test does, of files
    taken_bytes: int = 0
    port: int = 0
    started_sending: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked_for(self, part: str) -> list[dict[str, str]]:
        """The headers of every request whose path holds `part`."""
        return [headers for path, headers in self.asked if part in path]

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._note])
        app.router.add_get("/api/models/{owner}/{name}/revision/{revision}", self._info)
        app.router.add_get("/api/models/{owner}/{name}/tree/{revision}", self._tree)
        app.router.add_get("/{owner}/{name}/resolve/{revision}/{path:.+}", self._resolve)
        app.router.add_get("/store/{sha}", self._store)
        return app

    @web.middleware
    async def _note(self, request: web.Request, handler: object) -> web.StreamResponse:
        self.asked.append((request.path, dict(request.headers)))
        if self.refuse is not None:
            status, code = self.refuse
            told = {"X-Error-Code": code} if code else {}
            return web.Response(status=status, headers=told | self.refuse_headers)
        is_store = request.path.startswith("/store/")
        if is_store and self.store_refuses:
            return web.Response(status=self.store_refuses, headers=self.refuse_headers)
        is_known = request.headers.get("Authorization") == f"Bearer {self.token}"
        if self.token and not is_store and not is_known:
            return web.Response(status=401, headers={"X-Error-Code": "GatedRepo"})
        return await handler(request)  # type: ignore[operator]

    def _files(self, request: web.Request) -> dict[str, bytes]:
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        if name not in self.repositories:
            raise web.HTTPNotFound(headers={"X-Error-Code": "RepoNotFound"})
        return self.repositories[name]

    async def _info(self, request: web.Request) -> web.Response:
        siblings = []
        for path, content in self._files(request).items():
            entry: dict[str, object] = {"rfilename": path}
            if self.siblings_have_sizes:
                entry |= {"size": self._size(content), "blobId": git_sha1(content)}
                if is_large(content):
                    lfs = {"size": self._size(content), "pointerSize": 135}
                    entry["lfs"] = lfs | ({"sha256": sha256(content)} if self.lists_hashes else {})
            siblings.append(entry)
        siblings += [{"rfilename": name, "size": 3} for name in self.extra_names]
        return web.json_response({"sha": COMMIT, "siblings": siblings, "private": False})

    async def _tree(self, request: web.Request) -> web.Response:
        entries: list[dict[str, object]] = [{"type": "directory", "path": "folder", "oid": "x"}]
        for path, content in self._files(request).items():
            entry: dict[str, object] = {"type": "file", "path": path, "size": self._size(content)}
            entry["oid"] = git_sha1(content)
            if is_large(content) and self.lists_hashes:
                entry["lfs"] = {"oid": sha256(content), "size": self._size(content)}
            entries.append(entry)
        start = int(request.query.get("cursor", 0))
        headers = {}
        if start + self.page_size < len(entries):
            following = f"{self.url}{request.path}?cursor={start + self.page_size}"
            headers["Link"] = f'<{following}>; rel="next"'
        return web.json_response(entries[start : start + self.page_size], headers=headers)

    def _size(self, content: bytes) -> int:
        if self.lists_other_size is not None and is_large(content):
            return self.lists_other_size
        return len(content)

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        files = self._files(request)
        content = files.get(request.match_info["path"])
        if content is None:
            raise web.HTTPNotFound(headers={"X-Error-Code": "EntryNotFound"})
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{git_sha1(content)}"'}
        if not is_large(content):
            content = content[::-1] if self.sends_small_other else content
            return web.Response(body=content, headers=headers)
        if self.names_hashes:
            headers["X-Linked-Etag"] = f'"{sha256(content)}"'
            headers["X-Linked-Size"] = str(len(content))
        # the store of large files is another host
        elsewhere = f"http://localhost:{self.port}/store/{sha256(content)}"
        return web.Response(
            status=302, headers=headers | {"Location": self.redirects_to or elsewhere}
        )

    async def _store(self, request: web.Request) -> web.StreamResponse:
        content = next(
            content
            for files in self.repositories.values()
            for content in files.values()
            if sha256(content) == request.match_info["sha"]
        )
        if self.sends_other is not None:
            content = self.sends_other
        start, status, headers = 0, 200, {}
        wanted = request.headers.get("Range", "")
        if wanted and not self.ignores_range:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            if start >= len(content):
                return web.Response(
                    status=416, headers={"Content-Range": f"bytes */{len(content)}"}
                )
        if self.packs:
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(content) - start)
        response = web.StreamResponse(status=status, headers=headers)
        taken_before = self.taken_bytes
        await response.prepare(request)
        left = self.cuts.pop(0) if self.cuts else None
        if self.stalls_after is not None:
            left = self.stalls_after
        body = content[start:] if left is None else content[start : start + left]
        await response.write(body)
        self.sent_bytes += len(body)
        self.started_sending.set()
        if self.stalls_after is not None:
            await asyncio.Event().wait()
        if left is not None:
            if self.counts_taken:  # what lies in buffers when a connection breaks is lost
                wanted_bytes = taken_before + len(body)
                while request.transport is not None and self.taken_bytes < wanted_bytes:  # noqa: ASYNC110 - counted in another thread
                    await asyncio.sleep(0.002)
            else:
                await asyncio.sleep(0.02)  # what was written gets out
            if request.transport is not None:  # else the other side was quicker
                request.transport.abort()
        return response


def is_large(content: bytes) -> bool:
    return len(content) >= LARGE_BYTES


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


@contextmanager
def serving(server: HubServer) -> Iterator[HubServer]:
    """The server, in a thread of its own until the block ends."""
    ready = threading.Event()
    loop = asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(server.application(), shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.port = runner.addresses[0][1]
        return runner

    def run() -> None:
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        for task in asyncio.all_tasks(loop):  # those that stall
            task.cancel()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, name="hub")
    thread.start()
    ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
