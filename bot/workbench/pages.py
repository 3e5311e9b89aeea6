"""The page's own files, read once: what is not among them does not exist."""

from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


class Pages:
    """Serves the files of a folder from memory."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    @classmethod
    def read(cls) -> "Pages":
        """Read them. Blocking: call it in a thread."""
        files = (path for path in FOLDER.rglob("*") if path.is_file())
        return cls({path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in files})

    def routes(self) -> list[web.RouteDef]:
        """Where they are."""
        return [
            web.get("/", self._serve),
            web.get("/favicon.ico", self._serve),
            web.get("/static/{file:.+}", self._serve),
        ]

    async def _serve(self, request: web.Request) -> web.Response:
        paths = {"/": "index.html", "/favicon.ico": "icon.svg"}
        name = paths.get(request.path) or request.match_info["file"]
        if name not in self._files:
            raise web.HTTPNotFound
        kind = TYPES.get(Path(name).suffix, "application/octet-stream")
        charset = "utf-8" if kind.startswith("text/") else None
        return web.Response(body=self._files[name], content_type=kind, charset=charset)
