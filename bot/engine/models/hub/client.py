"""Talks to the hub over HTTP, or to whatever HF_ENDPOINT names, and trusts it with nothing.

Paths and headers are those of https://huggingface.co/docs/hub/api and of its resolver:
`/ID/resolve/REVISION/PATH` answers itself or sends on to a store of large files, naming size and
SHA-256 of a large file in `X-Linked-Size` and `X-Linked-Etag`.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from bot.engine.models.hub.listing import MOST_FILES, Listing, RepoFile, read_info, read_tree
from bot.engine.models.hub.refusals import TransferBrokenError, busy, refusal, unreachable
from bot.engine.models.hub.store import home_folder
from bot.errors import ModelError
from bot.invocation import command

ENDPOINT = "https://huggingface.co"
MOST_ANSWER_BYTES = 32 << 20
MOST_PAGES = 50
MOST_REDIRECTS = 6
MOST_TOKEN_BYTES = 4096
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SHA256 = re.compile(r'"?([0-9a-fA-F]{64})"?')
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_NEXT_PAGE = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?')


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server may take."""

    connect_seconds: float = 20
    silence_seconds: float = 30  # without a byte
    answer_seconds: float = 60  # for a list, whole
    window_seconds: float = 60  # in which at least `window_bytes` have to come
    window_bytes: int = 60_000
    attempts: int = 5  # in a row without a byte more
    pause_seconds: float = 1  # after the first; doubles


@dataclass(frozen=True, slots=True)
class Body:
    """An answer with a file's bytes, about to be read."""

    response: aiohttp.ClientResponse
    offset: int  # of the first byte that comes
    size: int | None  # of the whole file, if it is told
    sha256: str  # of the whole file; empty if it is not told
    is_past_end: bool = False  # nothing comes: there is nothing at `offset`


class HubClient:
    """One conversation with the hub; an async context manager."""

    def __init__(self, patience: Patience) -> None:
        """Raises ModelError where the environment says that nobody may be asked, or nonsense."""
        if os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in ("1", "on", "yes", "true"):
            raise ModelError(
                "Hugging Face is not asked: HF_HUB_OFFLINE is set.",
                "Take it out of the environment to download.",
            )
        self.endpoint = _endpoint()
        self._token = _token()
        self.patience = patience
        self._suggest = command("model suggest")  # looks at the disk: not for later
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Opens the connections."""
        self._session = aiohttp.ClientSession(
            trust_env=True,  # a proxy
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=self.patience.connect_seconds,
                sock_read=self.patience.silence_seconds,
            ),
            headers={"User-Agent": "caduceus", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes them."""
        if self._session is not None:
            await self._session.close()

    async def listing(self, hub_id: str) -> Listing:
        """What a repository holds. Raises ModelError."""
        path = f"api/models/{hub_id}"
        try:
            async with asyncio.timeout(self.patience.answer_seconds):
                listing = read_info(await self._json(f"{path}/revision/main?blobs=true", hub_id))
                if listing.tells_sizes:
                    return listing
                files = await self._tree(f"{path}/tree/{listing.revision}?recursive=true", hub_id)
                return Listing(listing.revision, files or listing.files)
        except (aiohttp.ClientError, TimeoutError, TransferBrokenError, OSError) as error:
            raise unreachable(hub_id, self.endpoint, error) from error

    @asynccontextmanager
    async def content(
        self, hub_id: str, revision: str, file: RepoFile, offset: int
    ) -> AsyncGenerator[Body]:
        """A file's bytes from `offset` on. Raises ModelError and TransferBrokenError."""
        url = self._url(f"{hub_id}/resolve/{revision}/{quote(file.path)}")
        wanted = {"Range": f"bytes={offset}-"} if offset else {}
        try:
            async with self._get(url, hub_id, wanted) as (response, linked):
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise ModelError(
                        f"{response.url.host} sends {file.path} packed, which was not asked for.",
                        "Set HF_ENDPOINT to another server, or take it out.",
                    )
                yield _body(response, linked, offset)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TransferBrokenError(_short(error)) from error

    async def _tree(self, path: str, hub_id: str) -> tuple[RepoFile, ...]:
        files: dict[str, RepoFile] = {}
        url: URL | None = self._url(path)
        for _ in range(MOST_PAGES):
            if url is None or len(files) > MOST_FILES:
                break
            async with self._get(url, hub_id, {}) as (response, _linked):
                files |= {file.path: file for file in read_tree(await _read_json(response))}
                following = _NEXT_PAGE.search(response.headers.get("Link", ""))
            url = url.join(URL(following[1])) if following else None
        return tuple(files.values())

    async def _json(self, path: str, hub_id: str) -> object:
        async with self._get(self._url(path), hub_id, {}) as (response, _linked):
            return await _read_json(response)

    def _url(self, path: str) -> URL:
        return URL(f"{self.endpoint}/{path}", encoded=True)

    @asynccontextmanager
    async def _get(
        self, url: URL, hub_id: str, headers: dict[str, str]
    ) -> AsyncGenerator[tuple[aiohttp.ClientResponse, dict[str, str]]]:
        """The answer of whoever has it, and what the hub itself said of the file.

        The token goes to the hub alone, never to where it sends us. Raises ModelError for what
        asking again cannot fix, TransferBrokenError for what it can.
        """
        if self._session is None:
            raise AssertionError("a HubClient is used as a context manager")
        home = URL(self.endpoint).origin()
        linked: dict[str, str] = {}
        for _ in range(MOST_REDIRECTS):
            own = {"Authorization": f"Bearer {self._token}"} if self._token else {}
            async with self._session.get(
                url,
                headers=headers | (own if url.origin() == home else {}),
                allow_redirects=False,
            ) as response:
                if url.origin() == home:
                    linked |= {
                        name: value
                        for name, value in response.headers.items()
                        if name.lower() in ("x-linked-size", "x-linked-etag")
                    }
                if response.status not in REDIRECTS:
                    if response.status >= 300 and response.status != 416:
                        if url.origin() != home:  # it knows nothing of models and rights
                            raise busy(response, "the store of its files answers")
                        raise refusal(
                            hub_id,
                            response,
                            has_token=bool(self._token),
                            suggest=self._suggest,
                        )
                    yield response, linked
                    return
                url = _following(url, response)
        raise ModelError(
            f"{home.host} sends from one address to the next without end.",
            "Set HF_ENDPOINT to another server, or take it out; or try again later.",
        )


def _following(url: URL, response: aiohttp.ClientResponse) -> URL:
    """Where an answer sends us. Raises ModelError for an address that nobody should go to."""
    try:
        target = url.join(URL(response.headers.get("Location", ""), encoded=True))
        is_safe = target.scheme == "https" or (target.scheme == url.scheme == "http")
        if is_safe and target.host and target != url:
            return target
    except ValueError:
        pass
    raise ModelError(
        f"{url.host} sends to an address that is none, or not a safe one.",
        "Set HF_ENDPOINT to another server, or take it out; or try again later.",
    )


async def _read_json(response: aiohttp.ClientResponse) -> object:
    """Raises TransferBrokenError for what is no JSON, or too much of it."""
    text = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        text += chunk
        if len(text) > MOST_ANSWER_BYTES:
            raise TransferBrokenError("the list of files is far too long")
    try:
        return await asyncio.to_thread(json.loads, bytes(text))
    except (ValueError, RecursionError) as error:
        raise TransferBrokenError("the answer is not a list of files") from error


def _body(response: aiohttp.ClientResponse, linked: dict[str, str], offset: int) -> Body:
    named = {name.lower(): value for name, value in linked.items()}
    size = _number(named.get("x-linked-size", ""))
    found = _SHA256.fullmatch(named.get("x-linked-etag", "").removeprefix("W/"))
    sha256 = found[1].lower() if found else ""
    if response.status == 416:
        return Body(response, offset, _whole_size(response) or size, sha256, is_past_end=True)
    if response.status == 206:
        part = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if part is None or int(part[1]) != offset:
            raise TransferBrokenError("it sends another part than was asked for")
        return Body(response, offset, int(part[3]), sha256)
    length = _number(response.headers.get("Content-Length", ""))
    return Body(response, 0, size if length is None else length, sha256)


def _whole_size(response: aiohttp.ClientResponse) -> int | None:
    """What an answer 416 says of the file (RFC 9110, 14.4: `bytes */SIZE`)."""
    return _number(response.headers.get("Content-Range", "").partition("*/")[2])


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _endpoint() -> str:
    """HF_ENDPOINT without its trailing slash, or the hub. Raises ModelError."""
    named = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or ENDPOINT
    try:
        url = URL(named)
        good = url.scheme in ("http", "https") and bool(url.host) and url.port != 0
        good = good and not (url.query_string or url.fragment or url.user or url.password)
    except ValueError:
        good = False
    if not good:
        raise ModelError(
            "HF_ENDPOINT is not an address.",
            f"Write it like {ENDPOINT}, or take it out of the environment.",
        )
    return named


def _token() -> str:
    """The person's own key to the hub, from where the hub's own programs keep it; or empty."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := os.environ.get(name, "").strip():
            return _checked(token, name)
    named = os.environ.get("HF_TOKEN_PATH")
    try:
        with open(named or home_folder() / "token", encoding="ascii") as file:
            return _checked(file.read(MOST_TOKEN_BYTES).strip(), "The file with the token")
    except (OSError, ValueError):
        return ""


def _checked(token: str, name: str) -> str:
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise ModelError(f"{name} has characters that no token has.", "Copy it again, on one line.")
    return token


def _short(error: Exception) -> str:
    """A reason in a few words of one line."""
    if isinstance(error, TimeoutError):
        return "nothing came any more"
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__
