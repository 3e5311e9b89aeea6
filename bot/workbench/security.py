"""Who may talk to the workbench: this machine's own page, and nothing that pretends to be it.

The page has no password, so a website open in the same browser is the danger. Three checks stop it:

* `Host` must be ours: a foreign name that was pointed at 127.0.0.1 (DNS rebinding) is refused.
* `Origin` and `Sec-Fetch-Site`, which browsers set and pages cannot forge, must be ours on every
  call of the API. Reading is checked too, although other sites could not see the answer.
* Bodies must be JSON, and files `application/octet-stream`, by their content type: no form of
  another site can send either unasked.
"""

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bot.workbench.answers import refusal

API_PREFIX = "/api/"
BODY_BYTES = 256 * 1024
SAFE_METHODS = frozenset({"GET", "HEAD"})
OWN_SITE = frozenset({"same-origin", "none"})  # "none": typed, or a bookmark
HTTP_PORT = 80

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "object-src 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def own_hosts(port: int) -> frozenset[str]:
    """What a browser on this machine sends as `Host` for this port."""
    names = ("127.0.0.1", "localhost")
    hosts = {f"{name}:{port}" for name in names}
    return frozenset(hosts | set(names) if port == HTTP_PORT else hosts)


def guard(port: Callable[[], int]) -> Middleware:
    """The middleware that lets only our own page in. `port` is known once the server listens."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        hosts = own_hosts(port())
        given = request.headers.getall("Host", [])
        if len(given) != 1 or given[0].lower() not in hosts:
            return refusal(
                421,
                "This address is not the workbench's own.",
                f"Open http://127.0.0.1:{port()}/ instead.",
            )
        calls_api = request.path.startswith(API_PREFIX)
        if (calls_api or request.method not in SAFE_METHODS) and not _is_own_page(request, hosts):
            return refusal(
                403,
                "The workbench answers its own page only.",
                f"Open http://127.0.0.1:{port()}/ and use it there.",
            )
        return await handler(request)

    return check


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on every answer, streams and errors too."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


def _is_own_page(request: web.Request, hosts: frozenset[str]) -> bool:
    """True for our page, and for programs that are not browsers (they send neither header)."""
    origins = request.headers.getall("Origin", [])
    if any(origin.lower() not in {f"http://{host}" for host in hosts} for origin in origins):
        return False
    return request.headers.get("Sec-Fetch-Site", "same-origin").lower() in OWN_SITE
